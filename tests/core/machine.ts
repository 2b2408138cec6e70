import { expect } from "vitest";
import type { Graph } from "../../src/core/graph.ts";
import {
  type Effect,
  type EndedBranch,
  type Event,
  effectsOf,
  isOpen,
  NEW_RUN,
  type RunError,
  type RunState,
  type Step,
  type Transition,
  transition,
} from "../../src/core/run.ts";

export const ERROR: RunError = { name: "Error", message: "no", node: null, branch: null, index: null, attempts: null };

export const STARTED: Event = { type: "started" };
export const BROKE: Event = { type: "broke", error: ERROR, reason: "flow-failed" };
export const CANCELED: Event = { type: "canceled" };
export const PAUSED: Event = { type: "paused" };
export const RESUMED: Event = { type: "resumed" };
export const CHANGED: Event = { type: "graph-changed", error: ERROR };
export const RESTORED: Event = { type: "graph-restored" };

export const prepared = (step: number, size = 1): Event => ({ type: "prepared", step, size });
export const branched = (step: number): Event => ({ type: "branched", step });
export const executed = (step: number): Event => ({ type: "executed", step });
export const failed = (step: number): Event => ({ type: "failed", step, error: ERROR, reason: "flow-failed" });
export const posted = (step: number, action = ""): Event => ({ type: "posted", step, action });

/** A run as its object keeps it, without the object: what `transition` decides is kept, and nothing is performed. */
export class Machine {
  run: RunState = NEW_RUN;
  readonly steps = new Map<number, Step>();
  readonly ends: EndedBranch[] = [];
  readonly graph: Graph;
  nowMs = 1000;

  constructor(graph: Graph) {
    this.graph = graph;
  }

  on(event: Event): Transition {
    const steps = {
      of: (id: number) => this.steps.get(id),
      open: () => this.open,
      stoppedIn: (parent: number) =>
        [...this.steps.values()].filter((step) => step.parent === parent && step.phase === "stopped"),
    };
    const made = transition(this.run, steps, event, this.graph, this.nowMs++);
    this.run = made.run;
    for (const step of made.steps) this.steps.set(step.id, step);
    this.ends.push(...made.ends);
    return made;
  }

  get open(): Step[] {
    return [...this.steps.values()].filter(isOpen);
  }

  get pending(): Effect[] {
    return effectsOf(this.run, this.open, this.graph);
  }

  /** Where the run is, in a line: `running: Flow exec, Load prep`. A branch is named where there is one: `Load[3/1] prep`. */
  toString(): string {
    const places = this.open.map(({ node, branch, phase }) => `${node}${branch && `[${branch}]`} ${phase}`);
    return places.length === 0 ? this.run.status : `${this.run.status}: ${places.join(", ")}`;
  }

  /** The event that is due at the latest step, which the walk goes on from. */
  due(action = ""): Event {
    const step = this.open.at(-1) as Step;
    if (step.phase === "prep") return prepared(step.id);
    return step.phase === "exec" ? executed(step.id) : posted(step.id, action);
  }
}

/** Effects in words: `prep 2`, `branch 3`. */
export function words(effects: Effect[]): string[] {
  return effects.map((effect) => `${effect.type === "hook" ? effect.hook : effect.type} ${effect.step}`);
}

/** Each event's effects and where it leads. */
export type Arrow = [event: Event, effects: string[], state: string];

export function follow(machine: Machine, arrows: Arrow[]): Machine {
  for (const [event, effects, state] of arrows) {
    const made = machine.on(event);
    expect([JSON.stringify(event), words(made.effects), String(machine)]).toEqual([
      JSON.stringify(event),
      effects,
      state,
    ]);
  }
  return machine;
}
