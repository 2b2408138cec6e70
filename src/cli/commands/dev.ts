import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { type Command, command } from "../command.ts";
import { Failure } from "../errors.ts";
import { paint, say } from "../terminal.ts";

const CONFIGS = ["wrangler.toml", "wrangler.jsonc", "wrangler.json"];
/** Opens the local server to whoever can reach it, unless `.dev.vars` has a token. */
const OPEN = ["--var", "POCKETFLARE_OPEN:true"];

export const dev: Command = {
  ...command({
    name: "dev",
    takes: ["[wrangler's flags]"],
    about: "Start the Worker of this folder with `wrangler dev`, and say where its page is",
    details: "All flags are wrangler's. The server is open without a token, unless .dev.vars has an API_TOKEN.",
    flags: {},
    example: "npx pocketflare dev --port 8788",
    run: async () => 0,
  }),
  async runAsIs(args) {
    if (!CONFIGS.some((name) => existsSync(name)) && !args.some((arg) => /^(-c|--config)(=|$)/.test(arg))) {
      throw new Failure(
        `Expected one of ${CONFIGS.join(", ")} in ${resolve(".")}, got none`,
        "Go into your project's folder, or make a new project: npx pocketflare init my-flows",
      );
    }
    return serve(findWrangler(), ["dev", ...OPEN, ...args]);
  },
};

/** The script of the project's own wrangler. */
function findWrangler(): string {
  try {
    const manifest = createRequire(resolve("package.json")).resolve("wrangler/package.json");
    const { bin } = JSON.parse(readFileSync(manifest, "utf8")) as { bin: { wrangler: string } };
    return join(dirname(manifest), bin.wrangler);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw cause;
    throw new Failure(
      "Wrangler, which runs Workers, is not installed in this project",
      "npm install --save-dev wrangler",
    );
  }
}

/** Runs wrangler on this terminal until it ends, and gives its exit code. */
function serve(wrangler: string, args: string[]): Promise<number> {
  const child = spawn(process.execPath, [wrangler, ...args], { stdio: ["inherit", "inherit", "inherit", "ipc"] });
  child.on("message", (message) => {
    const { event, ip, port } = JSON.parse(String(message)) as { event: string; ip: string; port: number };
    if (event === "DEV_SERVER_READY") say(hello(`http://${hostOf(ip)}:${port}`));
  });
  // The terminal sends Ctrl-C to both, and wrangler decides when it is over.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((done, fail) => {
    child.once("error", fail);
    child.once("exit", (code) => done(code ?? 1));
  });
}

function hostOf(ip: string): string {
  if (["127.0.0.1", "0.0.0.0", "::", "::1"].includes(ip)) return "localhost";
  return ip.includes(":") ? `[${ip}]` : ip;
}

function hello(url: string): string {
  const flag = url === "http://localhost:8787" ? "" : ` --url ${url}`;
  return `
${paint("bold", "Open", process.stderr)}  ${paint("cyan", `${url}/`, process.stderr)}   the page
Try   npx pocketflare flows${flag}
`;
}
