import { type HalfWritten, itemsOf, type Own, wordOf } from "./half-written.ts";

// What is stored of a run whose hooks write, wait and write again: its shared must be what the hooks that have ended make of it,
// by the rows of the same storage that say which of them have.

export interface StoredStep {
  node: string;
  branch: string;
  phase: string;
}

export interface Stored {
  shared: HalfWritten;
  steps: StoredStep[];
}

/** A run's shared, but for the order in which things came about. */
export interface Tally {
  total: number;
  byBranch: { [branch: string]: Omit<Own, "at"> & { at: number } };
  log: string[];
  open: string[];
  states: [word: string, state: string][];
  ended: string[];
  results: { [branch: string]: string[] };
  done: number[];
  seen: number | undefined;
}

/** The rows of steps as `Stored` has them. */
export const STEPS = "select node, body ->> '$.branch' as branch, phase from step order by id";

export function tallyOf(shared: HalfWritten): Tally {
  const { total, byBranch, log, open, states, ended, results, done, seen } = shared;
  const counts = Object.entries(byBranch).map(([key, { before, after, at }]) => {
    return [key, { before, after, at: at.getTime() }] as const;
  });
  return {
    total,
    byBranch: Object.fromEntries(counts),
    log: [...log].sort(),
    open,
    states: [...(states ?? [])].sort(),
    ended: [...(ended ?? [])].sort(),
    results,
    done: [...(done ?? [])].sort((a, b) => a - b),
    seen,
  };
}

/** What shared must be where the steps are. */
export function tallyOfSteps(steps: readonly StoredStep[]): Tally {
  const hooks = steps.flatMap(endedOf);
  const words = hooks.map(({ word }) => word).sort();
  const counts = Map.groupBy(hooks, ({ branch }) => branch);
  return {
    total: 2 * words.length,
    byBranch: Object.fromEntries(Array.from(counts, ([branch, { length }]) => [branch, countsOf(length)])),
    log: words.flatMap((word) => [`+ ${word}`, `- ${word}`]).sort(),
    open: [],
    states: words.map((word) => [word, "ended"]),
    ended: words,
    results: Object.fromEntries(doneAt("Many", steps).map((n) => [n, resultsOf(n)])),
    done: doneAt("Third", steps),
    // By then all the others were through.
    seen: doneAt("Polling", steps).includes(0) ? doneAt("Third", steps).length : undefined,
  };
}

/** The hooks of a step that have ended and write. */
function endedOf({ node, branch, phase }: StoredStep): { branch: string; word: string }[] {
  const wordFor = (hook: "prep" | "post") => ({
    branch,
    word: wordOf(hook, node, branch === "" ? "" : Number(branch)),
  });
  const prep = phase === "prep" || node === "Polling" ? [] : [wordFor("prep")];
  return phase === "done" ? [...prep, wordFor("post")] : prep;
}

function countsOf(hooks: number) {
  return { before: hooks, after: hooks, at: 2 * hooks };
}

/** The branches that have been through a node, in order. */
function doneAt(name: string, steps: readonly StoredStep[]): number[] {
  const done = steps.filter(({ node, phase }) => node === name && phase === "done");
  return done.map(({ branch }) => Number(branch)).sort((a, b) => a - b);
}

function resultsOf(n: number): string[] {
  return Array.from({ length: itemsOf(n) }, (_, item) => `result ${n}.${item}`);
}
