import { build, type Observer } from "./build.ts";
import { Watch } from "./memory.ts";
import type { Program } from "./program.ts";

// Where the test and the Worker meet: both live in one isolate, and one program runs at a time.

interface Played {
  program: Program;
  observer: Observer;
}

let played: Played = {
  program: { root: { kind: "node" }, numbers: [] },
  observer: new Watch(),
};
let object: DurableObjectState | undefined;
/** Objects of runs that are over: a late report may load one again. */
const left = new Set<string | undefined>();

/** The program that the flow `random` is from now on. */
export function play(program: Program, observer: Observer): void {
  played = { program, observer };
  left.add(object?.id.name);
}

export const randomFlow = () => build(played.program, played.observer);

/** The object of a run was loaded. */
export function noteLoaded(state: DurableObjectState): void {
  if (!left.has(state.id.name)) object = state;
}

/** Ends the object of the run that is under way, from within one of its hooks. */
export function abortHere(): void {
  object?.abort("Instance disposed by a test");
}
