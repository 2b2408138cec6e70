import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { commands } from "../../src/cli/commands/index.ts";
import { VERSION } from "../../src/version.ts";
import { cli } from "./cli.ts";

// What needs no server.

const NOBODY = "http://127.0.0.1:1";

test("its help lists every command and fits into 120 columns", async () => {
  const { code, stdout, stderr } = await cli(["--help"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  for (const { name, about } of commands) expect(stdout).toMatch(new RegExp(`^  ${name}\\b.* ${about}$`, "m"));
  for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
  expect((await cli([])).stdout).toBe(stdout);
  expect((await cli(["help"])).stdout).toBe(stdout);
});

test.for(commands.map(({ name }) => name))("help of `%s` says how it is used, and gives an example", async (name) => {
  const { code, stdout, stderr } = await cli([...name.split(" "), "--help"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(new RegExp(`^Usage:\\n  npx pocketflare ${name}\\b`, "m"));
  expect(stdout).toMatch(new RegExp(`^Example:\\n  .*npx pocketflare ${name}\\b`, "m"));
  for (const flag of Object.keys(commands.find((each) => each.name === name)?.flags ?? {})) {
    expect(stdout).toContain(`  --${flag}`);
  }
  expect((await cli(["help", ...name.split(" ")])).stdout).toBe(stdout);
});

test("tells its version", async () => {
  expect(await cli(["--version"])).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: "" });
});

test.for([
  [["stauts"], "There is no command `stauts`\nDid you mean `status`?"],
  [["frobnicate"], "There is no command `frobnicate`\nnpx pocketflare --help lists the commands"],
  [["--json", "rnus"], "Did you mean `runs`?"],
  [["runs", "--sttaus", "failed"], "There is no flag `--sttaus` here\nDid you mean `--status`?"],
  [["flows", "--limit", "3"], "There is no flag `--limit` here"],
  [["runs", "--limit"], "Expected a value: `--limit N`"],
  [["runs", "--limit", "many"], "Expected `--limit` to be a whole number from 1 to 100000, got `many`"],
  [["start"], "Expected <flow>\nUsage: npx pocketflare start <flow> [flags]"],
  [["start", "few", "--input", "--wait"], "Expected a value: `--input JSON`"],
  [["start", "few", "--wait=soon"], "Expected `--wait` with a number of seconds or none, got `soon`"],
  [["start", "few", "--input", "{count: 1}"], "Expected `--input` to be JSON: "],
  [["start", "few", "--input", "@/nowhere.json"], "Expected `--input` to name a file that can be read: ENOENT"],
  [["start", "few", "--input", "-"], "Expected standard input to be JSON: "],
  [["status"], "Expected <id>"],
  [["status", "a", "b"], "Expected nothing behind `a`\nUsage: npx pocketflare status <id> [flags]"],
  [["items", "a", "--all", "--limit", "3"], "Expected `--limit` or `--all`, got both"],
  [["limits", "seet", "llm"], "Expected nothing behind `seet`\nDid you mean `limits set`?"],
  [["limits", "llm", "x"], "Expected nothing behind `llm`\nUsage: npx pocketflare limits [name]"],
  [["limits", "set", "llm"], "Expected at least one of --requests, --tokens, --period and --concurrency"],
  [["limits", "set", "llm", "--period", "5"], "Expected `--period` to be a time such as"],
  [["limits", "set", "llm", "--requests", "0"], "Expected `--requests` to be a whole number from 1"],
  [["flows", "--url", "localhost:8787"], "Expected a URL such as http://localhost:8787"],
  [["flows", "--json=yes"], "Expected `--json` without a value"],
] as [string[], string][])("wrong usage: %j", async ([args, words]) => {
  const { code, stdout, stderr } = await cli(args, { url: NOBODY, input: "" });
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain(words);
});

test("where nobody answers it says how to start a server", async () => {
  const { code, stdout, stderr } = await cli(["flows", "--json"], { url: NOBODY });
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain(`No answer from ${NOBODY}`);
  expect(stderr).toContain("npx pocketflare dev");
  expect(stderr).toContain("--url");
});

test("a token that was given in a wrong place, or cannot be one, is not shown", async () => {
  const secret = "s3cret-of-ours";
  const tries = [
    ["flows", "--tokne", secret],
    ["--tokne", secret, "flows"],
    [`--tokne=${secret}`, "flows"],
    ["flows", "--token", `${secret}\nx`],
    ["flows", "--url", `http://user:${secret}@127.0.0.1:1`],
  ];
  for (const args of tries) {
    const { code, stdout, stderr } = await cli(args);
    expect(code).toBe(2);
    expect(stdout + stderr).not.toContain(secret);
  }
});

test("dev says what is missing: a configuration, or wrangler", async () => {
  const cwd = mkdtempSync(join(tmpdir(), "pocketflare-cli-"));
  onTestFinished(() => rmSync(cwd, { recursive: true }));
  const bare = await cli(["dev"], { cwd });
  expect(bare).toMatchObject({ code: 1, stdout: "" });
  expect(bare.stderr).toMatch(/Expected one of wrangler\.toml, .*\n.*npx pocketflare init/);
  writeFileSync(join(cwd, "wrangler.toml"), "");
  const without = await cli(["dev"], { cwd });
  expect(without).toMatchObject({ code: 1, stdout: "" });
  expect(without.stderr).toContain("npm install --save-dev wrangler");
});
