import type { KeptEvent } from "./event-store.ts";
import type { Trigger } from "./index-entry.ts";
import type { Signal } from "./signal-store.ts";
import type { RunOutline, RunView } from "./view.ts";

// What is asked of a run, and what it answers.

export interface StartRequest {
  id: string;
  flow: string;
  /** The flow's input, which becomes `shared`. */
  input: unknown;
  /** What it was made of, where a schema has made something of it: JSON text. */
  given?: string;
  /** Of a start with an idempotency key: what a repeated one is compared with. */
  inputDigest: string | null;
  trigger?: Trigger;
  /** The URL that is told when the run has ended. */
  callback?: string | null;
}

/** `isNew` is false where the run was there already, `isSame` where it was started with this very input. */
export interface Started {
  view: RunView;
  isNew: boolean;
  isSame: boolean;
}

/** What somebody asked of a run, and whether that was possible in the status it had. */
export interface Turned {
  view: RunView;
  isDone: boolean;
  /** Why not, where it is not the status. */
  refusal?: string;
}

/** What has happened in a run since somebody last looked. */
export interface Happened {
  events: KeptEvent[];
  /** As it is after these; nothing where it is as it was. */
  run: RunOutline | null;
  isFinished: boolean;
  /** Names this moment: with it the next call is answered when something else has happened. */
  pulse: number;
}

/** What somebody sends to a run. */
export type SentSignal = Omit<Signal, "atMs">;

/** Why a signal was not kept: the run has finished, or has too many, or another was sent under the same id. */
export type SignalRefusal = "finished" | "full" | "other";
