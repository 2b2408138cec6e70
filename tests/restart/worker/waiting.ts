import { Flow, Node, type NonIterableObject, type Signal, SleepNode, WaitForEvent } from "../../../src/index.ts";

// Flows that wait, and what the Worker knows of the objects of their runs.

export interface Waiting {
  /** How long the run sleeps, in seconds. */
  seconds?: number;
  /** What came, and the words of the nodes behind that. */
  got: unknown[];
}

class Nap extends SleepNode<Waiting> {
  override prep({ seconds = 0 }: Waiting) {
    return seconds;
  }
}

class Letter extends WaitForEvent<Waiting, NonIterableObject, unknown> {
  override post(shared: Waiting, _: string, signal: Signal | null) {
    shared.got.push(signal?.payload ?? null);
  }
}

/** A post that took effect twice would leave two words. */
class Done extends Node<Waiting> {
  override post(shared: Waiting) {
    shared.got.push("done");
  }
}

function asleep(): Flow<Waiting> {
  const nap = new Nap();
  nap.next(new Done());
  return new Flow<Waiting>(nap);
}

function patient(): Flow<Waiting> {
  const letter = new Letter("letter");
  letter.next(new Done());
  return new Flow<Waiting>(letter);
}

/** Takes two letters, one after the other. */
function twice(): Flow<Waiting> {
  const first = new Letter("letter", { name: "First" });
  first.next(new Letter("letter", { name: "Second" })).next(new Done());
  return new Flow<Waiting>(first);
}

export const waitingFlows = { asleep, patient, twice };

/** How often a run's object was made in this process, and called by its alarm. */
export interface Lives {
  made: number;
  rung: number;
}

const lives = new Map<string, Lives>();

export function noteLife(run: string | undefined, what: keyof Lives): void {
  const known = lives.get(run ?? "") ?? { made: 0, rung: 0 };
  lives.set(run ?? "", { ...known, [what]: known[what] + 1 });
}

/** Of each run whose object was made in this process. */
export function allLives(): { [run: string]: Lives } {
  return Object.fromEntries(lives);
}
