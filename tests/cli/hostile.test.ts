import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Cli, cli } from "./cli.ts";
import { openStub, openStubOf } from "./stub.ts";

// A server, or its data, that means no good. A stub says what a real one would not.

const EVIL = "a\x1b[2J\x1b]0;title\x07\x9b31m\u202eb\u2066\r\nc\x08\x00<img onerror>";
const SHOWN = "ab c<img onerror>";
const TOKEN = "s3cret-of-ours";
/** All that a terminal obeys but the end of a line, and what turns the direction of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const OBEYED = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

function hostileRun() {
  const items = { total: 1, pending: 0, running: 0, deferred: 0, succeeded: 0, failed: 1, canceled: 0 };
  const error = { name: EVIL, message: EVIL, node: EVIL, branch: EVIL, index: 0, attempts: 1 };
  const times = {
    createdAt: "2026-01-01T00:00:00Z",
    startedAt: "2026-01-01T00:00:00Z",
    finishedAt: null,
    resumesAt: null,
  };
  const waits = [{ node: EVIL, branch: "", step: 1, signal: EVIL, until: null }];
  return {
    ...{
      id: EVIL,
      flow: EVIL,
      version: EVIL,
      trigger: { type: "cron", name: EVIL },
      status: "waiting",
      ...times,
      items,
      error,
    },
    ...{
      step: { node: EVIL, phase: "exec" },
      executions: 1,
      redriveCount: 0,
      warnings: [EVIL],
      waitsFor: waits,
      output: EVIL,
    },
  };
}

test.for([
  [["flows"], { flows: [{ name: EVIL }] }],
  [["runs"], { runs: [hostileRun()], cursor: null }],
  [["status", "x"], hostileRun()],
  [["cancel", "x"], hostileRun()],
  [
    ["items", "x"],
    {
      items: [{ node: EVIL, branch: EVIL, index: 0, status: EVIL, attempts: 1, error: { name: EVIL, message: EVIL } }],
      cursor: null,
    },
  ],
] as [string[], object][])("what %j shows moves no cursor and turns no line", async ([args, body]) => {
  const url = await openStubOf(200, body);
  const { code, stdout, stderr } = await cli(args, { url });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain(SHOWN);
  expect(stdout).not.toMatch(OBEYED);
  const json = await cli([...args, "--json"], { url });
  for (const line of json.stdout.trimEnd().split("\n"))
    expect(JSON.stringify(JSON.parse(line))).toContain("\\u001b[2J");
});

test("nor does what --watch shows, on a terminal or off it", async () => {
  const failed = { ...hostileRun(), status: "failed", finishedAt: "2026-01-01T00:00:01Z" };
  const url = await openStub((_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`event: snapshot\nid: 0\ndata: ${JSON.stringify(hostileRun())}\n\n`);
    response.end(`event: done\ndata: ${JSON.stringify({ status: "failed", run: failed })}\n\n`);
  });
  const { code, stdout, stderr } = await cli(["status", "x", "--watch"], { url });
  expect(code).toBe(1);
  expect(stdout + stderr).not.toMatch(OBEYED);
  const onTerminal = await cli(["status", "x", "--watch"], { url, columns: 80, env: { NO_COLOR: "1" } });
  expect(onTerminal.stdout.replaceAll("\x1b[K", "").replaceAll("\r", "")).not.toMatch(OBEYED);
});

test("results on a terminal are JSON that it does not obey; elsewhere they are as they came", async () => {
  const line = `${JSON.stringify({ index: 0, status: "succeeded", result: EVIL })}\n`;
  const url = await openStub((_, response) => void response.end(line));
  expect((await cli(["results", "x"], { url })).stdout).toBe(line);
  const { stdout } = await cli(["results", "x"], { url, columns: 80 });
  expect(stdout).not.toMatch(OBEYED);
  expect(JSON.parse(stdout)).toEqual(JSON.parse(line));
});

test("a refusal is shown with all its faults, and without the token that it repeats", async () => {
  const url = await openStub((request, response) => {
    const detail = `Expected another token than ${request.headers.authorization} ${EVIL}`;
    const errors = [{ pointer: `/a/${TOKEN}`, detail: EVIL }];
    response.writeHead(401).end(JSON.stringify({ type: "about:blank", title: "No", status: 401, detail, errors }));
  });
  for (const args of [
    ["flows", "--token", TOKEN],
    ["runs", "--json", "--token", TOKEN],
    ["status", "x", "--watch"],
  ]) {
    const { code, stdout, stderr } = await cli(args, { url, env: { POCKETFLARE_TOKEN: TOKEN } });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("Bearer ***");
    expect(stderr).toContain("POCKETFLARE_TOKEN");
    expect(stderr).not.toContain(TOKEN);
    expect(stderr).not.toMatch(OBEYED);
  }
});

test("the token is sent, from the environment or the flag", async () => {
  const seen: unknown[] = [];
  const url = await openStub((request, response) => {
    seen.push(request.headers.authorization);
    response.end('{"flows":[]}');
  });
  await cli(["flows"], { url, env: { POCKETFLARE_TOKEN: "one" } });
  await cli(["flows", "--token", "two"], { url, env: { POCKETFLARE_TOKEN: "one" } });
  await cli(["flows"], { url });
  expect(seen).toEqual(["Bearer one", "Bearer two", undefined]);
});

test("what is no Pocketflare is known as such", async () => {
  const url = await openStub((_, response) => void response.writeHead(404).end("<h1>Not found</h1>"));
  const { code, stderr } = await cli(["flows"], { url });
  expect(code).toBe(1);
  expect(stderr).toContain("answered 404 Not Found, but not as Pocketflare does");
  const page = await openStub((_, response) => void response.end("<h1>Hello</h1>"));
  expect(await cli(["flows"], { url: page })).toMatchObject({ code: 1, stdout: "" });
});

test("a base path is part of the URL", async () => {
  const paths: unknown[] = [];
  const url = await openStub((request, response) => {
    paths.push(request.url);
    response.end('{"flows":[]}');
  });
  await cli(["flows"], { url: `${url}/api/jobs/` });
  expect(paths).toEqual(["/api/jobs/flows"]);
});

const BLOCK = `${JSON.stringify({ index: 0, status: "succeeded", result: "x".repeat(999_959) })}\n`;
const BLOCKS = 400;
const MOST_KB = 256 * 1024;

test("400 MB of results pass through in bounded memory", async () => {
  let [sent, peakKb] = [0, 0];
  let pid: number | undefined;
  const url = await openStub(async (_, response) => {
    for (; sent < BLOCKS; sent++) {
      if (!response.write(BLOCK)) await new Promise((resolve) => response.once("drain", resolve));
    }
    peakKb = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
    response.end();
  });
  const running = new Cli(["results", "x"], { url });
  pid = running.child.pid;
  let bytes = 0;
  running.child.stdout?.removeAllListeners("data").on("data", (words: string) => {
    bytes += words.length;
  });
  expect((await running.end()).code).toBe(0);
  console.log(`${bytes} bytes of results with at most ${peakKb} KB in memory`);
  expect(bytes).toBe(BLOCKS * BLOCK.length);
  expect(peakKb).toBeLessThan(MOST_KB);
});

test("results that break off are no success", async () => {
  const url = await openStub((_, response) => {
    response.write(BLOCK, () => response.destroy());
  });
  const { code, stderr } = await cli(["results", "x"], { url });
  expect(code).toBe(1);
  expect(stderr).toContain("broke off");
});

test("a reader that has enough ends it quietly", async () => {
  const url = await openStub(async (_, response) => {
    while (!response.destroyed)
      if (!response.write(BLOCK)) await new Promise((go) => response.once("drain", go).once("close", go));
  });
  const running = new Cli(["results", "x"], { url });
  running.child.stdout?.once("data", () => running.child.stdout?.destroy());
  const { code, stderr } = await running.end();
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});
