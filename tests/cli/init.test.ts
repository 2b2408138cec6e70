import { execFile, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../demo/server.ts";
import { commands } from "../../src/cli/commands/index.ts";
import { VERSION } from "../../src/version.ts";
import { until } from "../restart/until.ts";
import { cli } from "./cli.ts";

const REPOSITORY = join(import.meta.dirname, "../..");
const FILES = [
  ".dev.vars.example",
  ".gitignore",
  "README.md",
  "package.json",
  "src/worker.ts",
  "tsconfig.json",
  "wrangler.toml",
];

function tmpFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "pocketflare-init-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  return folder;
}

/** What a shell of one's own has: without what npm told the process that runs the tests, and without its Node. */
function plainEnv(more: { [name: string]: string } = {}): { [name: string]: string } {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^npm_(?!config_)|_prefix$|^POCKETFLARE_|_COLOR$|^PATH$/.test(name),
  );
  const places = process.env["PATH"]?.split(delimiter).filter((place) => !/\bnode_modules\b/.test(place)) ?? [];
  const quiet = { WRANGLER_SEND_METRICS: "false", WRANGLER_WRITE_LOGS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false" };
  return {
    ...(Object.fromEntries(kept) as { [name: string]: string }),
    PATH: places.join(delimiter),
    ...quiet,
    ...more,
  };
}

async function run(command: string, args: string[], cwd: string, env = plainEnv()): Promise<string> {
  try {
    return (await promisify(execFile)(command, args, { cwd, env })).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(" ")} failed:\n${stdout}${stderr}`);
  }
}

function allFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1))
    .sort();
}

test("refuses a folder that has files, names them and touches nothing", async () => {
  const cwd = tmpFolder();
  writeFileSync(join(cwd, "notes.txt"), "mine");
  const { code, stdout, stderr } = await cli(["init"], { cwd });
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain("Expected an empty folder, got one with notes.txt");
  expect(allFiles(cwd)).toEqual(["notes.txt"]);
  expect(await cli(["init", "notes.txt"], { cwd })).toMatchObject({ code: 2, stdout: "" });
  expect(readFileSync(join(cwd, "notes.txt"), "utf8")).toBe("mine");
});

test("takes an empty folder, a repository without files, or makes one; names the project after it", async () => {
  const cwd = tmpFolder();
  mkdirSync(join(cwd, "Ada's Flows/.git"), { recursive: true });
  const { code, stdout, stderr } = await cli(["init", "--json"], { cwd: join(cwd, "Ada's Flows") });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(JSON.parse(stdout).files.sort()).toEqual(FILES);
  expect(allFiles(join(cwd, "Ada's Flows"))).toEqual(FILES);
  const read = (file: string) => readFileSync(join(cwd, "Ada's Flows", file), "utf8");
  expect(JSON.parse(read("package.json")).name).toBe("ada-s-flows");
  expect(read("wrangler.toml")).toMatch(/^name = "ada-s-flows"$/m);
  const made = await cli(["init", "a/b"], { cwd });
  expect(made.stdout).toContain("cd a/b && npm install && npm run dev");
  expect(allFiles(join(cwd, "a/b"))).toEqual(FILES);
});

test("the project installs from the packed package, runs, and every example of the help runs in it", async () => {
  const folder = tmpFolder();
  const tarball = await pack(folder);
  const project = join(folder, "my-flows");
  // The command that is published makes the project, as `npx pocketflare init` would.
  mkdirSync(join(folder, "maker"));
  await run("npm", ["install", "--no-audit", "--no-fund", "--prefix", join(folder, "maker"), tarball], folder);
  await run(join(folder, "maker/node_modules/.bin/pocketflare"), ["init", "my-flows"], folder);
  const manifest = readFileSync(join(project, "package.json"), "utf8");
  expect(JSON.parse(manifest).dependencies.pocketflare).toBe(VERSION);
  writeFileSync(
    join(project, "package.json"),
    manifest.replace(`"pocketflare": "${VERSION}"`, `"pocketflare": "file:${tarball}"`),
  );
  await run("npm", ["install", "--no-audit", "--no-fund"], project);
  await run("npm", ["run", "types"], project);

  const port = await freePort(0);
  const url = await dev(project, port);
  const env = plainEnv({ POCKETFLARE_URL: url });
  const shell = (line: string) => run("bash", ["-c", line], project, env);
  const exampleOf = (name: string) => commands.find((each) => each.name === name)?.example as string;

  const id = (await shell(`${exampleOf("start")}; echo $run`)).trim();
  expect(await shell(`run=${id}; ${exampleOf("status")}`)).toContain("completed");
  for (const name of ["flows", "runs", "status", "items", "results", "limits", "limits set", "limits reset"]) {
    await shell(`run=${id}; ${exampleOf(name)}`);
  }
  expect(readFileSync(join(project, "out.ndjson"), "utf8").split("\n")).toHaveLength(3);
  // More than the limit lets through in a minute, so that it goes on for a while.
  const texts = JSON.stringify({ texts: Array.from({ length: 200 }, (_, at) => `Text ${at}. And more.`) });
  const long = (await shell(`npx pocketflare start summarize --input '${texts}'`)).trim();
  const said: string[] = [];
  for (const name of ["pause", "resume", "cancel", "retry"]) said.push(await shell(`run=${long}; ${exampleOf(name)}`));
  expect(said.map((line) => line.trim())).toEqual([
    `${long} paused`,
    expect.stringMatching(/(running|waiting)$/),
    `${long} canceled`,
    expect.stringMatching(/(queued|running|waiting)$/),
  ]);
  const tried = [...["flows", "start", "runs", "status", "items", "results", "limits", "limits set", "limits reset"]];
  tried.push("pause", "resume", "cancel", "retry", "init", "dev");
  expect(commands.map(({ name }) => name).sort()).toEqual(tried.sort());
}, 400_000);

const PACKED = ["src", "package.json", "tsconfig.json", "tsconfig.build.json", "README.md", "LICENSE"];

/** Packs the package as it would be published: in a copy, because another test may be packing it at the same time. */
async function pack(folder: string): Promise<string> {
  const copy = join(folder, "repository");
  for (const name of PACKED) cpSync(join(REPOSITORY, name), join(copy, name), { recursive: true });
  symlinkSync(join(REPOSITORY, "node_modules"), join(copy, "node_modules"));
  await run("npm", ["pack", "--pack-destination", folder], copy);
  return join(folder, `pocketflare-${VERSION}.tgz`);
}

/** Starts the project as its README says, and gives its address once `dev` has said where the page is. */
async function dev(project: string, port: number): Promise<string> {
  const args = ["run", "dev", "--", "--port", String(port), "--inspector-port", "0"];
  const env = plainEnv({ WRANGLER_REGISTRY_PATH: join(project, "../registry"), TMPDIR: project });
  const child = spawn("npm", args, { cwd: project, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (words) => {
      said += words;
    });
  }
  onTestFinished(async () => {
    process.kill(-(child.pid as number), "SIGKILL");
  });
  const url = await until(
    "dev says where the page is",
    () => {
      if (child.exitCode !== null) throw new Error(`dev ended:\n${said}`);
      return /^Open {2}(http:\/\/\S+)\/ {3}the page$/m.exec(said)?.[1];
    },
    60_000,
  ).catch((cause) => {
    throw new Error(`dev did not say where the page is:\n${said}`, { cause });
  });
  expect(url).toBe(`http://localhost:${port}`);
  expect(said).toContain(`npx pocketflare flows --url ${url}`);
  return url;
}
