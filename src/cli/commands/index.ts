import type { Command } from "../command.ts";
import { dev } from "./dev.ts";
import { flows } from "./flows.ts";
import { init } from "./init.ts";
import { items } from "./items.ts";
import { limits, resetLimit, setLimit } from "./limits.ts";
import { results } from "./results.ts";
import { runs } from "./runs.ts";
import { start } from "./start.ts";
import { status } from "./status.ts";
import { cancel, pause, resume, retry } from "./turns.ts";

/** All commands, as the help lists them. */
export const commands: readonly Command[] = [
  ...[init, dev],
  ...[flows, start, runs, status, items, results],
  ...[retry, cancel, pause, resume],
  ...[limits, setLimit, resetLimit],
];
