import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { spawnGroup } from "../../demo/group.ts";
import { addressOf } from "./server.ts";

const REPOSITORY = join(import.meta.dirname, "../..");
const README = readFileSync(join(REPOSITORY, "README.md"), "utf8");
const require = createRequire(import.meta.url);
const WRANGLER = join(require.resolve("wrangler/package.json"), "../bin/wrangler.js");
const TSC = join(require.resolve("typescript/package.json"), "../bin/tsc");
const PLATFORM_TYPES = join(require.resolve("@cloudflare/workers-types/package.json"), "..");

test("what the README shows works in a project of its own", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pocketflare-project-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  await install(folder);
  writeFileSync(join(folder, "worker.ts"), block("ts", "import { Flow"));
  writeFileSync(join(folder, "wrangler.toml"), block("toml", 'main = "worker.ts"'));
  await checkTypes(folder);
  const url = await serve(folder);
  const [, path = "", body = ""] = /^curl 'localhost:8787(\S+)' .* -d '(.+)'$/m.exec(README) ?? [];
  const shown = JSON.parse(block("json", '"executions"').replace(', "…": 0', "")) as { [field: string]: unknown };
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  const run = await response.json();
  console.log(`installed from a tarball: ${JSON.stringify(run)}`);
  expect(response.status).toBe(200);
  expect(run).toMatchObject({ ...shown, id: expect.stringMatching(/^01/) });
});

/** The README's code block of a language that has these words in it. */
function block(language: string, words: string): string {
  const blocks = Array.from(README.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm), ([, name, body]) => ({ name, body }));
  const found = blocks.find(({ name, body }) => name === language && body?.includes(words));
  if (!found?.body) throw new Error(`Expected a block of ${language} with \`${words}\` in the README`);
  return found.body;
}

/** Packs the package as it would be published, and installs that. */
async function install(folder: string): Promise<void> {
  await run("npm", ["pack", "--pack-destination", folder], REPOSITORY);
  const { version } = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8")) as { version: string };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  await run("npm", ["install", "--no-audit", "--no-fund", `./pocketflare-${version}.tgz`], folder);
}

/** Its types are checked as well, with the package's own declarations among them. */
async function checkTypes(folder: string): Promise<void> {
  const compilerOptions = {
    target: "ES2024",
    lib: ["ES2024"],
    module: "ESNext",
    moduleResolution: "bundler",
    strict: true,
    noEmit: true,
    types: [PLATFORM_TYPES],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["worker.ts"] }));
  await run(process.execPath, [TSC, "-p", "."], folder);
}

async function serve(folder: string): Promise<string> {
  const quiet = {
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    X_LOCAL_OBSERVABILITY: "false",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_WRITE_LOGS: "false",
    WRANGLER_REGISTRY_PATH: join(folder, "registry"),
    TMPDIR: folder,
  };
  const args = ["dev", "--ip", "127.0.0.1", "--port", "0", "--inspector-port", "0", "--var", "POCKETFLARE_OPEN:true"];
  const env = { ...process.env, ...quiet };
  const group = spawnGroup(WRANGLER, args, { cwd: folder, output: "pipe", env });
  onTestFinished(() => group.kill());
  return addressOf(group);
}

/** Runs a command as in a shell of its own: without what npm told the process that runs the tests. */
async function run(command: string, args: string[], cwd: string): Promise<void> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^npm_(?!config_)|_prefix$/.test(name));
  try {
    await promisify(execFile)(command, args, { cwd, env: Object.fromEntries(inherited) });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(" ")} failed:\n${stdout}${stderr}`);
  }
}
