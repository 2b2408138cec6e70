import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { until } from "../restart/until.ts";

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");
/** What of the surroundings a command would go by: on CI, too, colours are left out. */
const OURS = /^(POCKETFLARE_|NO_COLOR$|FORCE_COLOR$|NODE_OPTIONS$|TERM$|CI$)/;

export interface Said {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Way {
  url?: string;
  env?: { [name: string]: string };
  cwd?: string;
  /** What stands on standard input. */
  input?: string;
  /** Runs it on a terminal with so many columns. What it says on both streams is in `stdout`. */
  columns?: number;
}

/** The command line as a process that goes on. */
export class Cli {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";
  readonly #ended: Promise<unknown>;

  constructor(args: readonly string[], { url, env, cwd, input, columns }: Way = {}) {
    const inherited = Object.entries(process.env).filter(([name]) => !OURS.test(name));
    const own = { TERM: "xterm-256color", ...(url === undefined ? {} : { POCKETFLARE_URL: url }), ...env };
    const [command, ...rest] = columns === undefined ? ["node", MAIN, ...args] : onTerminal(args, columns);
    this.child = spawn(command === "node" ? process.execPath : (command as string), rest, {
      env: { ...Object.fromEntries(inherited), ...own },
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.child.stdout?.setEncoding("utf8").on("data", (words) => {
      this.stdout += words;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (words) => {
      this.stderr += words;
    });
    this.child.stdin?.end(input);
    this.#ended = once(this.child, "close");
    onTestFinished(() => {
      this.child.kill("SIGKILL");
    });
  }

  /** Resolves once these words were said. */
  says(words: string): Promise<true> {
    return until(`the command line says "${words}"`, () => (this.stdout + this.stderr).includes(words) || undefined);
  }

  async end(): Promise<Said> {
    await this.#ended;
    return { code: this.child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }
}

/** Runs the command line to its end. */
export function cli(args: readonly string[], way?: Way): Promise<Said> {
  return new Cli(args, way).end();
}

function onTerminal(args: readonly string[], columns: number): string[] {
  const quoted = [process.execPath, MAIN, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const line = `stty cols ${columns} -onlcr; exec ${quoted}`;
  if (has("script", ["--version"])) return ["script", "-qefc", line, "/dev/null"];
  const python = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(['sh', '-c', sys.argv[1]])))";
  if (has("python3", ["-c", "import pty"])) return ["python3", "-c", python, line];
  throw new Error(
    "Expected `script` of util-linux or `python3`, to run the command line on a terminal: install one of them",
  );
}

function has(command: string, args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
