import { constants } from "node:os";

const undo: (() => void)[] = [];

/**
 * Runs `step` when this process ends, whichever way it does: at its end, by an error, by Ctrl-C. Last in, first out.
 * It has to be synchronous: nothing awaited is finished in an ending process.
 *
 * @example
 * atExit(() => rmSync(folder, { recursive: true }));
 */
export function atExit(step: () => void): void {
  if (undo.length === 0) listen();
  undo.push(step);
}

function listen(): void {
  process.once("exit", () => {
    for (const step of undo.reverse()) step();
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
  }
}
