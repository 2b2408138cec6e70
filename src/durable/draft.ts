import type { Graph } from "../core/graph.ts";
import {
  type Effect,
  type EndedBranch,
  type Event,
  isOpen,
  type RunState,
  type Steps,
  transition,
} from "../core/run.ts";
import type { Emit } from "./event-store.ts";
import type { StoredNeeds } from "./needs.ts";
import type { StepRow } from "./step-store.ts";

/** The one item of a plain node's step. */
export interface SoloItem {
  item: string;
  needs: StoredNeeds | null;
}

/**
 * Where a run and its steps stand after hooks that have ended and are not stored yet. Several hooks are stored together, since
 * each may have read what another one has half written; if the object is lost before that, none of them has ever run.
 */
export class Draft {
  state: RunState;
  readonly steps = new Map<number, StepRow>();
  readonly ends: EndedBranch[] = [];
  readonly items = new Map<number, SoloItem>();
  /** Steps of which prep, or post, has ended. */
  readonly prepared: number[] = [];
  readonly posted: number[] = [];
  /** Steps that were stopped with their branch. */
  readonly stopped: number[] = [];
  /** Steps that had been stopped, and go on. */
  readonly resumed = new Set<number>();
  /** What posts of stopped steps have returned that have ended after all. */
  readonly lateActions = new Map<number, string>();
  readonly emits: Emit[] = [];
  /** Gives what the run gives back, encoded, if it is complete. */
  output: (() => string) | null = null;
  readonly #stored: ReadonlyMap<number, StepRow>;
  readonly #waiting: ReadonlyMap<number, StepRow>;
  readonly #around: Steps = {
    of: (id) => this.step(id),
    open: () => this.open(),
    stoppedIn: (step) => [...this.#waiting.values()].filter(({ parent }) => parent === step),
  };
  /** Steps whose items are all settled. That post is next is known by that: it costs no row, and waits for no flush. */
  readonly #settled: Map<number, StepRow>;

  /** `stored` are the open steps, `waiting` those that were stopped and will go on. */
  constructor(
    state: RunState,
    stored: ReadonlyMap<number, StepRow>,
    waiting: ReadonlyMap<number, StepRow>,
    before?: Draft,
  ) {
    this.state = state;
    this.#stored = stored;
    this.#waiting = waiting;
    this.#settled = before ? before.#settled : new Map();
  }

  /** Whether all that happened is stored. */
  get isEmpty(): boolean {
    return this.steps.size + this.lateActions.size === 0;
  }

  /** Whether a step's items are all settled, and its post has not ended. */
  get isPostNext(): boolean {
    return this.#settled.size > 0;
  }

  step(id: number): StepRow | undefined {
    return this.steps.get(id) ?? this.#settled.get(id) ?? this.#stored.get(id);
  }

  /** The steps that are under way. */
  *open(): Generator<StepRow> {
    for (const id of this.#stored.keys()) {
      const row = this.step(id) as StepRow;
      if (isOpen(row)) yield row;
    }
    for (const row of this.steps.values()) if (!this.#stored.has(row.id) && isOpen(row)) yield row;
  }

  put(row: StepRow): void {
    if (row.phase === "post" && row.total > 0 && row.lateAction === null) this.#settled.set(row.id, row);
    else {
      this.#settled.delete(row.id);
      this.steps.set(row.id, row);
    }
  }

  /** Decides what an event makes of the run. */
  apply(event: Event, graph: Graph, nowMs: number): Effect[] {
    const { run, steps, ends, effects } = transition(this.state, this.#around, event, graph, nowMs);
    this.state = run;
    // A step that is known was given to the transition as its row, and comes back as that.
    for (const step of steps) {
      this.put("total" in step ? (step as StepRow) : { ...UNTOUCHED, ...step });
      if (step.phase === "stopped") this.stopped.push(step.id);
      else if (this.#waiting.size > 0 && this.#waiting.has(step.id)) this.resumed.add(step.id);
    }
    for (const ended of ends) this.ends.push(ended);
    return effects;
  }
}

const UNTOUCHED = { total: 0, succeeded: 0, failed: 0, fields: null, isSolo: false, batchSize: null, wait: null };
