import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { ended, readRun, start } from "../restart/client.ts";
import { Site } from "../restart/server.ts";
import { until } from "../restart/until.ts";
import { Vendor } from "../restart/vendor.ts";
import { Cli, cli } from "./cli.ts";
import { openFront } from "./front.ts";

// Against a real server, with runs that really go on.

async function open(): Promise<Site> {
  const site = new Site((await Vendor.open()).url);
  await site.start();
  return site;
}

function ndjson(text: string): unknown[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const QUICK = '{"count":3,"ms":0}';
const ID = /^[0-9A-Z]{30}\n$/;

test("lists, starts and shows, in words and in JSON", async () => {
  const { url } = await open();
  const flows = await cli(["flows"], { url });
  expect(flows).toMatchObject({ code: 0, stderr: "" });
  expect(flows.stdout.split("\n")).toContain("few");
  const json = await cli(["flows", "--json"], { url });
  expect(
    JSON.parse(json.stdout)
      .flows.map(({ name }: { name: string }) => name)
      .join("\n"),
  ).toBe(flows.stdout.trimEnd());

  const started = await cli(["start", "few", "--input", QUICK, "--key", "one"], { url });
  expect(started.stdout).toMatch(ID);
  expect(started.stderr).toContain("--watch");
  const id = started.stdout.trim();
  // The same key is the same run; a file and standard input are the same input.
  expect((await cli(["start", "few", "--input", "-", "--key", "one"], { url, input: QUICK })).stdout).toBe(`${id}\n`);

  const waited = await cli(["start", "few", "--input", QUICK, "--key", "one", "--wait", "60"], { url });
  expect(waited.code).toBe(0);
  expect(waited.stdout).toMatch(new RegExp(`^${id} completed in .*: 3 of 3 items succeeded\n$`));
  const waitedJson = await cli(["start", "few", "--input", QUICK, "--wait", "--json"], { url });
  expect(JSON.parse(waitedJson.stdout)).toMatchObject({ status: "completed", output: { count: 3 } });

  const status = await cli(["status", id], { url });
  expect(status.stdout).toMatch(/^status +completed$/m);
  expect(status.stdout).toMatch(/^items +3 in all, 3 succeeded; 3 executions$/m);
  expect(JSON.parse((await cli(["status", id, "--json"], { url })).stdout)).toEqual(await readRun(url, id));

  const items = await cli(["items", id, "--status", "succeeded", "--limit", "2"], { url });
  expect(items.stdout.trimEnd().split("\n")).toHaveLength(3);
  expect(items.stdout).toMatch(/^NODE +BRANCH +ITEM +STATUS +ATTEMPTS +TOOK +RESULT$/m);
  expect(items.stdout).toMatch(/^Asks +- +\d+-0 +succeeded +1 .*"item 0, in short"/m);
  expect(items.stderr).toContain("--all");
  expect(ndjson((await cli(["items", id, "--all", "--json"], { url })).stdout)).toHaveLength(3);
  const results = await cli(["results", id], { url });
  expect(results.stderr).toBe("");
  expect(ndjson(results.stdout)).toMatchObject([0, 1, 2].map((index) => ({ index, status: "succeeded" })));

  const csv = await cli(["results", id, "--csv"], { url });
  expect(csv).toMatchObject({ code: 0, stderr: "" });
  expect(csv.stdout.split("\r\n")).toEqual([
    "index,status,result,error",
    ...[0, 1, 2].map((index) =>
      expect.stringMatching(`^${index},succeeded,"{""value"":""item ${index}, in short"",.*}",$`),
    ),
    "",
  ]);

  // A new run is listed within two seconds.
  const list = await until("both runs are listed", async () => {
    const { stdout } = await cli(["runs", "--flow", "few", "--status", "completed"], { url });
    return stdout.trimEnd().split("\n").length === 3 ? stdout : undefined;
  });
  expect(list).toMatch(new RegExp(`^${id} +few +completed +3/3 +0 .* ago `, "m"));
  const one = JSON.parse((await cli(["runs", "--limit", "1", "--json"], { url })).stdout);
  expect(one).toMatchObject({ runs: [{ flow: "few" }], cursor: expect.any(String) });
});

test("steers a run: pause, resume, cancel, retry", async () => {
  const { url } = await open();
  const { run } = await start(url, "patient", { got: [] });
  const turn = async (what: string) => (await cli([what, run.id], { url })).stdout;
  expect(await turn("pause")).toBe(`${run.id} paused\n`);
  expect(await turn("resume")).toMatch(new RegExp(`^${run.id} (queued|running|waiting)\n$`));
  expect(await turn("cancel")).toBe(`${run.id} canceled\n`);
  const again = await cli(["cancel", run.id], { url });
  expect(again).toMatchObject({ code: 1, stdout: "" });
  expect(again.stderr).toContain("Expected a run that goes on, got one that is canceled");
  const watched = await cli(["status", run.id, "--watch"], { url });
  expect(watched.code).toBe(1);
  expect(watched.stdout).toMatch(new RegExp(`^${run.id} canceled in `));
  const retried = await cli(["retry", run.id, "--json"], { url });
  expect(JSON.parse(retried.stdout)).toMatchObject({ id: run.id, redriveCount: 1 });
});

test("retries the failed items that it is told, as the list of items names them", async () => {
  const { url } = await open();
  const { run } = await start(url, "speech", { count: 30, ms: 0 });
  await ended(url, run.id);
  const listed = await cli(["items", run.id, "--status", "failed", "--node", "Speaking"], { url });
  const [first = "", second = "", ...others] = Array.from(
    listed.stdout.matchAll(/ (\d+-\d+) +failed /g),
    ([, item]) => item,
  );
  expect(others.length).toBeGreaterThan(0);
  const retried = await cli(["retry", run.id, "--item", `${first},${second}`, "--json"], { url });
  expect(JSON.parse(retried.stdout)).toMatchObject({ id: run.id, redriveCount: 1, redrives: [{ failed: 2 }] });
  await ended(url, run.id);
  const items = ndjson((await cli(["items", run.id, "--all", "--json"], { url })).stdout) as {
    step: number;
    index: number;
    redrives: number;
  }[];
  expect(items.filter(({ redrives }) => redrives > 0).map(({ step, index }) => `${step}-${index}`)).toEqual([
    first,
    second,
  ]);

  const refused = await cli(["retry", run.id, "--item", first.replace(/\d+$/, "1")], { url });
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toContain("Expected items that have failed, got item 1 of step");
  for (const wrong of ["7", "1-x", "1-0,", "-1-0"]) {
    const { code, stderr } = await cli(["retry", run.id, `--item=${wrong}`], { url });
    expect([wrong, code]).toEqual([wrong, 2]);
    expect(stderr).toContain("items such as 1-0,1-7");
  }
});

test("shows and changes limits", async () => {
  const { url } = await open();
  const all = await cli(["limits"], { url });
  expect(all.stdout).toMatch(/^NAME +KEY +REQUESTS/);
  expect(all.stdout).toMatch(/^patched +- +0\/2 +0 +10\.0 s +0 +0 +-$/m);
  const changed = await cli(["limits", "set", "patched", "--requests", "7", "--period", "1m", "--concurrency", "3"], {
    url,
  });
  expect(changed.stdout).toMatch(/^patched +- +0\/7 +0 +1 min +0\/3 +0 +-$/m);
  const shown = JSON.parse((await cli(["limits", "patched", "--json"], { url })).stdout);
  expect(shown.keys).toMatchObject([{ requests: 7, periodMs: 60_000, concurrency: 3 }]);
  expect((await cli(["limits", "reset", "patched"], { url })).stdout).toMatch(/^patched +- +0\/2 /m);
  const missing = await cli(["limits", "set", "patchde", "--requests", "1"], { url });
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain("Did you mean `patched`?");
});

test("what the server refuses is exit code 1, with what may have been meant", async () => {
  const { url } = await open();
  const flow = await cli(["start", "fwe"], { url });
  expect(flow).toMatchObject({ code: 1, stdout: "" });
  expect(flow.stderr).toMatch(/^Error: There is no flow `fwe`; there are: .*\nDid you mean `few`\?$/m);
  expect((await cli(["runs", "--status", "fialed"], { url })).stderr).toContain("Did you mean `failed`?");
  for (const what of ["status", "items", "results", "cancel"]) {
    expect(await cli([what, "01K"], { url })).toEqual({ code: 1, stdout: "", stderr: "Error: There is no run 01K\n" });
  }
  expect(await cli(["status", "01K", "--watch", "--json"], { url })).toMatchObject({ code: 1, stdout: "" });
});

test("a run that was waited for and failed is exit code 1, with its error in the last line", async () => {
  const { url } = await open();
  // Without its log prep throws.
  const { code, stdout } = await cli(["start", "trip", "--input", '{"name":"Ada"}', "--wait"], { url });
  expect(code).toBe(1);
  expect(stdout).toMatch(/^01\w+ failed in .*: 0 of 0 items succeeded\. TypeError at Depart: .*length.*\n$/);
  const late = await cli(["start", "patient", "--input", '{"got":[]}', "--wait", "0.1"], { url });
  expect(late.code).toBe(1);
  expect(late.stdout).toMatch(/^01\w+ waiting for /);
});

test("off a terminal --watch says each change as a line, and no control characters", async () => {
  const { url } = await open();
  const { run } = await start(url, "hesitating", { count: 6, ms: 0 });
  const { code, stdout, stderr } = await cli(["status", run.id, "--watch"], { url });
  expect(code).toBe(0);
  expect(stdout).toMatch(new RegExp(`^${run.id} completed in .*: 6 of 6 items succeeded\n$`));
  const lines = stderr.trimEnd().split("\n");
  expect(lines.at(-1)).toBe("6/6  completed");
  for (const [at, line] of lines.entries()) expect(line).not.toBe(lines[at + 1]);
  expect(stderr.replaceAll("\n", "")).toMatch(/^[ -~]*$/);
});

test("on a terminal it redraws one line, which never wraps", async () => {
  const { url } = await open();
  for (const columns of [100, 40, 20]) {
    const { run } = await start(url, "hesitating", { count: 6, ms: 0 });
    const { code, stdout } = await cli(["status", run.id, "--watch"], { url, columns });
    expect(code).toBe(0);
    const [bar = "", summary] = stdout.split(`\r\x1b[K${run.id}`);
    expect(summary).toContain("completed");
    expect(bar).not.toContain("\n");
    const drawn = bar.split("\r").map((line) => stripVTControlCharacters(line));
    expect(drawn.length).toBeGreaterThan(2);
    for (const line of drawn) expect(line.length).toBeLessThan(columns);
    if (columns === 100) expect(drawn.at(-1)).toMatch(/^█{24} 6\/6 .*completed$/);
  }
});

test("colours are for terminals, and as NO_COLOR and FORCE_COLOR say", async () => {
  const { url } = await open();
  const { run } = await start(url, "few", { count: 1, ms: 0 });
  await ended(url, run.id);
  const green = "\x1b[32mcompleted";
  const show = async (way: object) => (await cli(["status", run.id], { url, ...way })).stdout;
  expect(await show({ columns: 80 })).toContain(green);
  expect(await show({})).not.toContain("\x1b");
  expect(await show({ columns: 80, env: { NO_COLOR: "1" } })).not.toContain("\x1b");
  expect(await show({ env: { FORCE_COLOR: "1" } })).toContain(green);
});

test("tables are cut to the terminal, and nowhere else", async () => {
  const { url } = await open();
  const { run } = await start(url, "alone", { item: "w".repeat(500), ms: 0 });
  await ended(url, run.id);
  const narrow = await cli(["items", run.id], { url, columns: 60, env: { NO_COLOR: "1" } });
  for (const line of narrow.stdout.trimEnd().split("\n")) expect(line.length).toBeLessThanOrEqual(60);
  expect(narrow.stdout).toContain("…");
  expect((await cli(["items", run.id], { url })).stdout).toContain("w".repeat(500));
});

test("a watched run is followed through a kill and a restart of the server", async () => {
  const site = await open();
  const front = await openFront(() => site.url);
  const { run } = await start(site.url, "few", { count: 12, ms: 3_000 });
  const watching = [{}, { columns: 100 }].map((way) => new Cli(["status", run.id, "--watch"], { url: front, ...way }));
  const all = (words: string) => Promise.all(watching.map((each) => each.says(words)));
  await all("0/12");
  await site.kill();
  await all("The connection is lost");
  await site.start();
  await all("Connected again");
  for (const { code, stdout, stderr } of await Promise.all(watching.map((each) => each.end()))) {
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`${run.id} .*completed.* in .*: 12 of 12 items succeeded`));
    expect((stdout + stderr).match(/connection is lost/g)).toHaveLength(1);
  }
});

test("Ctrl-C ends the watching, and the run goes on", async () => {
  const { url } = await open();
  for (const args of [
    ["start", "patient", "--input", '{"got":[]}', "--wait"],
    ["start", "patient", "--input", '{"got":[]}', "--wait", "--json"],
  ]) {
    const waiting = new Cli(args, { url });
    await waiting.says("waiting for signal letter");
    waiting.child.kill("SIGINT");
    const { code, stdout, stderr } = await waiting.end();
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    const [, id = ""] = /status (\w+) --watch/.exec(stderr) ?? [];
    expect(stderr).toContain("The run goes on");
    expect((await readRun(url, id)).status).toBe("waiting");
  }
});

test("a run that is canceled while it is watched is exit code 1", async () => {
  const { url } = await open();
  const { run } = await start(url, "patient", { got: [] });
  const watching = new Cli(["status", run.id, "--watch"], { url });
  await watching.says("waiting for signal letter");
  await cli(["cancel", run.id], { url });
  expect((await watching.end()).code).toBe(1);
});
