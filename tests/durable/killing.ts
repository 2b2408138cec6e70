import { Flow, Node, type NonIterableObject, ParallelBatchFlow } from "../../src/index.ts";
import { stage } from "./stage.ts";

/** The run's object that was loaded last. */
let newest: DurableObjectState | undefined;

export function noteObject(state: DurableObjectState): void {
  newest = state;
}

export interface Killing {
  /** The hook that ends the run's object at once, as one that takes too much memory does, and how often. */
  hook: "prep" | "post";
  times: number;
  /** The branch in which it does. */
  branch?: number;
  log: string[];
}

type Params = { n?: number };

class Harmless extends Node<Killing, Params> {
  post({ log }: Killing) {
    log.push(`harmless ${this._params.n ?? ""}`);
  }
}

class Killer extends Node<Killing, Params> {
  prep(shared: Killing) {
    perform("prep", this._params, shared);
  }
  post(shared: Killing) {
    perform("post", this._params, shared);
  }
}

function perform(hook: string, { n }: Params, shared: Killing): void {
  shared.log.push(`${hook} ${n ?? ""}`);
  if (hook !== shared.hook || n !== shared.branch) return;
  stage().say("killer");
  if (stage().count("killer") <= shared.times) newest?.abort("Instance disposed by a test");
}

class FiveBranches extends ParallelBatchFlow<Killing, NonIterableObject, { n: number }[]> {
  prep() {
    return [0, 1, 2, 3, 4].map((n) => ({ n }));
  }
}

function harmlessThenKiller(): Node<Killing, Params> {
  const first = new Harmless();
  first.next(new Killer());
  return first as Node<Killing, Params>;
}

/** Flows of which one hook ends the run's object. */
export const killingFlows = {
  killing: () => new Flow(harmlessThenKiller()),
  "killing at once": () => new Flow(new Killer()),
  "killing in a branch": () => new FiveBranches(harmlessThenKiller()),
  "killing at once in a branch": () => new FiveBranches(new Killer()),
};
