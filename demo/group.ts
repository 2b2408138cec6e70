import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { atExit } from "./lifetime.ts";

/** A process and all it starts, as one: killed together, and never outliving this process. */
export interface Group {
  readonly child: ChildProcess;
  /** SIGKILL to every process of the group, without warning; resolves when they are gone. */
  kill(): Promise<void>;
}

export interface GroupOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** What becomes of its standard output and error. Default "inherit". */
  output?: "inherit" | "pipe";
}

const LEASH = join(import.meta.dirname, "leash.ts");

/**
 * Starts a Node script in a process group of its own.
 *
 * @example
 * const group = spawnGroup("server.ts", ["--port", "0"]);
 * await group.kill();
 */
export function spawnGroup(script: string, args: readonly string[], options: GroupOptions = {}): Group {
  const { output = "inherit", ...rest } = options;
  const stdio = ["ignore" as const, output, output, "ipc" as const];
  const child = spawn(process.execPath, [LEASH, script, ...args], { ...rest, stdio, detached: true });
  // The leash would do the same a moment later: too late for those who clean up after the group.
  atExit(() => signalGroup(child, "SIGKILL"));
  return { child, kill: () => killGroup(child) };
}

async function killGroup(child: ChildProcess): Promise<void> {
  const exited = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
  signalGroup(child, "SIGKILL");
  await exited;
  // The leader's children are not ours to wait for. Bounded, because nobody may reap them in a container: dead, but listed.
  for (let waitedMs = 0; waitedMs < 1_000 && signalGroup(child, 0); waitedMs += 10) await sleep(10);
}

/** Whether there was anybody left to get the signal. */
function signalGroup(child: ChildProcess, signal: NodeJS.Signals | 0): boolean {
  if (child.pid === undefined) return false;
  try {
    return process.kill(-child.pid, signal);
  } catch {
    return false;
  }
}
