import { createRequire } from "node:module";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Group, spawnGroup } from "./group.ts";

export interface ServerOptions {
  host: string;
  port: number;
  /** Variables of the Worker. */
  vars: Readonly<Record<string, string>>;
  /** Further arguments of `wrangler dev`. */
  args?: readonly string[];
  /** Shows what the server says; by default it is only kept for error messages. */
  loud?: boolean;
  env?: Readonly<Record<string, string>>;
}

export interface Server extends Group {
  readonly url: string;
}

const PROJECT = join(import.meta.dirname, "..");
const WRANGLER = join(createRequire(import.meta.url).resolve("wrangler/package.json"), "../bin/wrangler.js");
const START_TIMEOUT_MS = 30_000;
/** A local server calls nobody, not even to ask for its own updates, and leaves no logs in the user's home. */
const QUIET = {
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  X_LOCAL_OBSERVABILITY: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_WRITE_LOGS: "false",
};

/**
 * Starts the Worker with `wrangler dev`, in a process group of its own, and resolves once it answers.
 *
 * @example
 * const server = await startServer({ host: "127.0.0.1", port: await freePort(), vars: { POCKETFLARE_OPEN: "true" } });
 * await fetch(`${server.url}/health`);
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { host, port, vars, args = [], loud = false, env = {} } = options;
  const url = `http://${host}:${port}`;
  const variables = Object.entries(vars).flatMap(([name, value]) => ["--var", `${name}:${value}`]);
  const group = spawnGroup(WRANGLER, ["dev", "--ip", host, "--port", String(port), ...variables, ...args], {
    cwd: PROJECT,
    output: loud ? "inherit" : "pipe",
    env: { ...process.env, ...QUIET, ...env },
  });
  await ready(group, url);
  return { ...group, url };
}

async function ready(group: Group, url: string): Promise<void> {
  const said = listen(group);
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!(await answers(`${url}/health`))) {
    const { exitCode, signalCode } = group.child;
    const ended = exitCode ?? signalCode;
    if (ended !== null) throw new Error(`The server ended (${ended}) before it answered.${said()}`);
    if (performance.now() > deadline) throw new Error(`The server is still not answering at ${url}.${said()}`);
    await sleep(50);
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** Keeps the last of what the server says, for the message if it does not start. */
function listen({ child }: Group): () => string {
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (words: string) => {
      said = (said + words).slice(-4_000);
    });
  }
  return () => (said ? ` Its last words:\n${said.trimEnd()}` : "");
}

/** The wanted port of a host if nobody uses it right now, else it throws; 0 finds one. */
export async function freePort(wanted = 0, host = "127.0.0.1"): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => probe.once("error", reject).listen(wanted, host, resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
