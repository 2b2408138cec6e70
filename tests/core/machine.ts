import type { Graph } from "../../src/core/graph.ts";
import {
  type Effect,
  type Event,
  effectsOf,
  NEW_RUN,
  type RunError,
  type RunState,
  type Step,
  type Transition,
  transition,
} from "../../src/core/run.ts";

export const ERROR: RunError = { name: "Error", message: "no", node: null, branch: null, index: null, attempts: null };

/** A run as its object keeps it, without the object: what `transition` decides is kept, and nothing is performed. */
export class Machine {
  run: RunState = NEW_RUN;
  readonly steps = new Map<number, Step>();
  readonly graph: Graph;
  nowMs = 1000;

  constructor(graph: Graph) {
    this.graph = graph;
  }

  on(event: Event): Transition {
    const made = transition(this.run, (id) => this.steps.get(id), event, this.graph, this.nowMs++);
    this.run = made.run;
    for (const step of made.steps) this.steps.set(step.id, step);
    return made;
  }

  get open(): Step[] {
    return [...this.steps.values()].filter((step) => step.phase !== "done");
  }

  get pending(): Effect[] {
    return effectsOf(this.run, this.open, this.graph);
  }

  /** Where the run is, in a line: `running: Flow exec, Load prep`. */
  toString(): string {
    const places = this.open.map((step) => `${step.node} ${step.phase}`);
    return places.length === 0 ? this.run.status : `${this.run.status}: ${places.join(", ")}`;
  }

  /** The event that is due at the latest step, which the walk goes on from. */
  due(action = ""): Event {
    const step = this.open.at(-1) as Step;
    if (step.phase === "prep") return { type: "prepared", step: step.id, isEmpty: false };
    return step.phase === "exec" ? { type: "executed", step: step.id } : { type: "posted", step: step.id, action };
  }
}

/** Effects in words: `prep 2`, `execute 3`, `finish`. */
export function words(effects: Effect[]): string[] {
  return effects.map((effect) => {
    if (effect.type === "hook") return `${effect.hook} ${effect.step}`;
    return effect.type === "execute" ? `execute ${effect.step}` : "finish";
  });
}
