import type { EndedBranch, RunState } from "../core/run.ts";
import type { JournalStore, StoredGraph } from "./journal-store.ts";
import type { StepRow, StepStore } from "./step-store.ts";
import type { LongText } from "./text.ts";

/**
 * How a run stood: its state, the steps that were under way, those that were stopped and the ends of their branches, which a redrive
 * may have taken up since, and what hooks had written.
 */
export interface Checkpoint {
  state: RunState;
  steps: StepRow[];
  failedEnds: EndedBranch[];
  graph: StoredGraph;
}

/**
 * The one checkpoint of a run: how it stood before the first post that saw a failed item, so that a redrive can take it up from
 * there. Items are none of it: their results are kept wherever the run goes back to.
 */
export class Checkpoints {
  readonly #longText: LongText;
  readonly #journal: JournalStore;
  readonly #steps: StepStore;

  constructor(longText: LongText, journal: JournalStore, steps: StepStore) {
    this.#steps = steps;
    this.#longText = longText;
    this.#journal = journal;
  }

  /** Keeps how the run stands, unless an earlier commit is kept. Called before anything of the next one is written. */
  keep(state: RunState): void {
    if (this.#longText.has("checkpoint")) return;
    const { snapshot, entries } = this.#journal.read();
    const steps = [...this.#steps.open(), ...this.#steps.stopped()];
    const failedEnds = this.#steps.failedEnds();
    this.#longText.put("checkpoint", JSON.stringify({ state, steps, failedEnds, entries }));
    this.#longText.put("checkpoint/live", snapshot);
  }

  /** What is kept, which is then kept no more. */
  take(): Checkpoint | null {
    const checkpoint = this.read();
    this.#longText.delete("checkpoint");
    this.#longText.delete("checkpoint/live");
    return checkpoint;
  }

  read(): Checkpoint | null {
    if (!this.#longText.has("checkpoint")) return null;
    const { state, steps, failedEnds, entries } = JSON.parse(this.#longText.get("checkpoint"));
    const graph = { snapshot: this.#longText.get("checkpoint/live"), entries };
    // An earlier version may have kept them, which knew less of a step.
    const rows = (steps as StepRow[]).map((row) => ({ ...SINCE_STORED, ...row }));
    return { state, steps: rows, failedEnds, graph };
  }
}

/** What rows have got since the first version that kept a checkpoint. */
const SINCE_STORED = { batchSize: null, wait: null };
