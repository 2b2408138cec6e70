import { decode, encode } from "../core/codec.ts";
import type { Failure } from "../core/errors.ts";
import { nameOf } from "../core/follow.ts";
import { UnstorableError } from "../core/journal.ts";
import type { NodeKind } from "../core/node.ts";
import {
  type Effect,
  type EndedBranch,
  type Event,
  effectsOf,
  type Fault,
  isFinished,
  isOpen,
  type RunError,
  type RunState,
  transition,
} from "../core/run.ts";
import { isExceeded, toleranceExceeded } from "../core/tolerance.ts";
import { Draft, type SoloItem } from "./draft.ts";
import type { ItemFailed } from "./event-store.ts";
import { faultAt, lostAt, namesOf } from "./faults.ts";
import type { Counts } from "./items.ts";
import { Ledger, type Settled } from "./ledger.ts";
import { Live, type Written } from "./live.ts";
import { LossCount } from "./losses.ts";
import type { Pages } from "./pages.ts";
import { PastSteps } from "./past-steps.ts";
import type { Registered } from "./registry.ts";
import type { StepRow } from "./step-store.ts";
import type { RunRow, Store } from "./store.ts";

/**
 * One run's way through its graph: the state machine of the core over stored rows. Events of hooks are decided on a draft, which
 * `flush` stores; what ends the run is stored at once, and the draft is forgotten.
 */
export class Walk {
  readonly row: RunRow;
  readonly ledger: Ledger;
  readonly flow: Registered;
  /** Whether any node of the flow has limits. */
  readonly hasLimits: boolean;
  /** As stored. */
  state: RunState;
  draft: Draft;
  /** Steps of which a hook is under way. */
  readonly inHook = new Set<number>();
  /** Those of them that were stopped meanwhile. */
  readonly overtaken = new Set<number>();
  readonly #store: Store;
  readonly #pages: Pages;
  /** The open steps as stored. */
  readonly #steps = new Map<number, StepRow>();
  readonly #past: PastSteps;
  readonly #losses: LossCount;
  readonly #clock: () => number;
  #live: Live | undefined;
  #isFlushWanted = false;

  constructor(store: Store, flow: Registered, pages: Pages, clock: () => number) {
    this.#store = store;
    this.#pages = pages;
    this.#clock = clock;
    this.flow = flow;
    this.row = store.run();
    this.#losses = new LossCount(store, this.row);
    this.state = this.row.state;
    this.hasLimits = [...flow.graph.ids].some((id) => flow.planOf(id).limits.length > 0);
    this.ledger = new Ledger(store, this.row.createdMs, flow.planOf);
    for (const step of store.steps.open()) this.#steps.set(step.id, step);
    this.#past = new PastSteps(store.steps, [...this.#steps.values()]);
    this.draft = new Draft(this.state, this.#steps, this.#past.waiting);
    this.ledger.restore(
      [...this.#steps.values()].filter((step) => step.phase === "exec" && step.total > 0),
      clock(),
    );
  }

  get isFinished(): boolean {
    return isFinished(this.state.status);
  }

  /** The step the run is at: the latest that is under way. */
  get current(): Pick<StepRow, "node" | "phase"> | undefined {
    let last: StepRow | undefined;
    for (const step of this.#steps.values()) last = step;
    // That items are settled is stored; so is, by that, that post is next.
    return last && this.draft.step(last.id)?.phase === "post" ? { node: last.node, phase: "post" } : last;
  }

  /** Whether the run is executed by hooks now, or about to be. */
  get isInHook(): boolean {
    return this.inHook.size > 0 || !this.draft.isEmpty || this.draft.isPostNext;
  }

  /** Counts over every item of every step so far. What a finished run, or a stopped step, never executed is canceled. */
  get counts(): Counts & { canceled: number } {
    const { total, pending, succeeded, failed, canceled: before } = this.#past.counts;
    const sum = { total, pending, running: 0, deferred: 0, succeeded, failed, canceled: before };
    for (const { counts } of this.ledger.groups()) {
      for (const key of ["total", "pending", "running", "deferred", "succeeded", "failed"] as const) {
        sum[key] += counts[key];
      }
    }
    if (!this.isFinished) return sum;
    const canceled = sum.canceled + sum.pending + sum.running + sum.deferred;
    return { ...sum, pending: 0, running: 0, deferred: 0, canceled };
  }

  get batchNodes(): string[] {
    return this.row.shape.nodes.filter(({ kind }) => kind.endsWith("batch")).map(({ id }) => id);
  }

  /** Whether branches are under way at once: then their items are left to executors, however few there are. */
  get isBranching(): boolean {
    for (const { node, phase } of this.#steps.values()) {
      if (phase === "exec" && this.flow.graph.has(node) && this.flow.graph.width(node) > 1) return true;
    }
    return false;
  }

  /** Hooks are performed one to a turn, because one of them may be what ends the object. */
  get isWary(): boolean {
    return this.#losses.isWary;
  }

  step(id: number): StepRow | undefined {
    return this.#steps.get(id);
  }

  /** The steps that are under way. */
  *openSteps(): Generator<StepRow> {
    for (const { id } of this.#steps.values()) {
      const step = this.draft.step(id);
      if (step && isOpen(step)) yield step;
    }
  }

  /** The stopped steps that will go on. */
  waitingSteps(): Iterable<StepRow> {
    return this.#past.waiting.values();
  }

  /** A step as it is stored, open or over. */
  storedStep(id: number): StepRow | undefined {
    return this.#store.steps.step(id);
  }

  /** Whether a step was stopped and is over. */
  isStopped({ id, phase }: Pick<StepRow, "id" | "phase">): boolean {
    return phase === "stopped" && !this.#past.waiting.has(id);
  }

  /** A hook has ended. What it held of a step that was stopped meanwhile is let go, unless that is still to be stored. */
  leaveHook(id: number): void {
    this.inHook.delete(id);
    if (this.overtaken.delete(id) && !this.isFinished && this.draft.step(id) === undefined) this.#live?.forget(id);
  }

  /** How the branches of a batch flow ended, in order. */
  endsOf(step: number): EndedBranch[] {
    const ends = [...this.#store.steps.ends(step), ...this.draft.ends.filter((ended) => ended.step === step)];
    return ends.sort((a, b) => a.index - b.index);
  }

  /** The nodes of steps, those included that are not stored yet. */
  nodesOf(steps: readonly number[]): Map<number, string> {
    const nodes = this.#store.steps.nodesOf(steps);
    for (const id of steps) {
      const drafted = this.draft.steps.get(id);
      if (drafted) nodes.set(id, drafted.node);
    }
    return nodes;
  }

  /** Whether any item or branch of the run has failed, so that there is something to redrive. */
  get hasFailures(): boolean {
    const isDrafted = this.draft.ends.some(({ error }) => error !== null);
    return this.counts.failed > 0 || isDrafted || this.#store.steps.hasFailedBranch();
  }

  /** What a node is, or was when the run began: what lies behind a run may be gone from its flow. */
  kindOf(node: string): NodeKind | undefined {
    const { graph } = this.flow;
    return graph.has(node) ? graph.kind(node) : this.row.shape.nodes.find(({ id }) => id === node)?.kind;
  }

  /** Read when a hook first needs it: a run that only hands out items never does. */
  get live(): Live {
    this.#live ??= this.#open();
    return this.#live;
  }

  /** The run begins: stored at once, so that its first hook is known if it ends the object. Called in a transaction. */
  begin(): Effect[] {
    const effects = this.apply({ type: "started" });
    this.flush(NOTHING);
    return effects;
  }

  /** Decides what an event of a hook makes of the run. Nothing is stored before the next flush. */
  apply(event: Event): Effect[] {
    const effects = this.draft.apply(event, this.flow.graph, this.#clock());
    for (const id of this.draft.stopped) if (this.inHook.has(id)) this.overtaken.add(id);
    return effects;
  }

  /** What ends the run: stored at once. What was not stored before that has never happened. */
  end(event: Event): void {
    this.#change(event);
    this.draft = new Draft(this.state, this.#steps, this.#past.waiting);
  }

  /** What pauses the run, or lets it go on: stored at once. What hooks have done, and is not stored yet, stays as it is. */
  turn(event: Event): void {
    this.#change(event);
    if (isFinished(this.draft.state.status)) return;
    const { status, isPauseAsked, error } = this.state;
    this.draft.state = { ...this.draft.state, status, isPauseAsked, error };
  }

  #change(event: Event): void {
    const { run } = transition(this.state, NO_STEPS, event, this.flow.graph, this.#clock());
    if (run !== this.state) this.#store.saveState(run);
    this.state = run;
  }

  /** A step has failed, and with it its branch or the whole run: `draft.state` says which. */
  failed(step: number, fault: Fault): Effect[] {
    this.ledger.halt(step);
    this.#isFlushWanted = true;
    return this.apply({ type: "failed", step, ...fault });
  }

  /** Whether something is to be flushed although no effect leads to that. Asked once. */
  takeFlushWish(): boolean {
    const isWanted = this.#isFlushWanted;
    this.#isFlushWanted = false;
    return isWanted;
  }

  /** What reports and losses mean for the run: a step of which too many items have failed does so too; one all settled moves on. */
  react({ steps, late, failed, fields }: Settled): Effect[] {
    for (const id of late) this.#past.countLate(id);
    if (failed.length > 0) this.#store.events.failed(this.#namesOf(failed), this.#clock());
    // What of a changed flow's nodes is to be done is not known here. It is found when the flow is as it was.
    if (this.flow.changes.length > 0 || this.isFinished) return [];
    for (const set of fields) this.#setFields(set.step, set.fields);
    const effects: Effect[] = [];
    for (const id of steps) {
      if (this.draft.step(id)?.phase !== "exec") continue;
      const fault = this.#faultOf(id);
      if (fault) effects.push(...this.failed(id, fault));
      else if (this.ledger.isSettled(id)) effects.push(...this.#executed(id));
      if (fault && this.brokeWith) {
        this.end({ type: "broke", ...this.brokeWith });
        return [];
      }
    }
    return effects;
  }

  /** What has ended the run, if something has that is not stored yet. */
  get brokeWith(): Fault | undefined {
    const { status, error, completionReason: reason } = this.draft.state;
    return status === "failed" && error && reason ? { error, reason } : undefined;
  }

  /** Why a step has failed, if more of its items have than it tolerates. */
  #faultOf(id: number): Fault | undefined {
    const failed = this.ledger.failedOf(id);
    if (failed === 0) return undefined;
    const { node, branch, total } = this.#steps.get(id) as StepRow;
    const { tolerance } = this.flow.planOf(node);
    if (tolerance === null) return { error: this.#firstFailure(id), reason: "item-failed" };
    if (!isExceeded(tolerance, failed, total)) return undefined;
    const { name, message } = toleranceExceeded(nameOf(this.flow.graph.node(node)), "items", tolerance, total);
    return { error: { name, message, node, branch, index: null, attempts: null }, reason: "tolerance-exceeded" };
  }

  /** What steps waited for may have come. Called in a transaction, after whatever else it changes. */
  wake(nowMs: number): Effect[] {
    const { waits } = this.ledger;
    // Most runs have nothing that waits: this is asked in every commit.
    if (waits.size === 0 || this.isFinished || this.flow.changes.length > 0) return [];
    return this.react(this.ledger.wake(nowMs));
  }

  #namesOf(failed: Settled["failed"]): ItemFailed[] {
    return failed.map(({ step, index, attempts, body }) => {
      const { node, branch } = this.#steps.get(step) as StepRow;
      return { step, node, branch, index, attempts, error: namesOf(JSON.parse(body as string) as Failure) };
    });
  }

  #firstFailure(id: number): RunError {
    const { node, branch } = this.#steps.get(id) as StepRow;
    const { index, attempts, body } = this.#store.items.firstFailed(id) as {
      index: number;
      attempts: number;
      body: string;
    };
    const failure = JSON.parse(body) as Failure;
    return { ...namesOf(failure), node, branch, index, attempts };
  }

  /** What a run that was at rest, or lost its object, has to do. */
  pending(): Effect[] {
    return effectsOf(this.draft.state, this.draft.open(), this.flow.graph);
  }

  /** The rows were read anew; `isNew`: so was the object, and what was under way in it is lost. Called in a transaction. */
  recover(isNew: boolean): void {
    if (isNew) this.react(this.ledger.loseInline(this.#clock()));
    this.react({ steps: new Set(this.#steps.keys()), late: [], failed: [], fields: [] });
    this.#dropLostPages();
    if (!this.isFinished) this.#countLosses();
  }

  /** What preps had stored that were lost. */
  #dropLostPages(): void {
    const { items, chunks } = this.#store;
    items.dropPagesAfter(this.state.lastStep);
    chunks.forget(">", this.state.lastStep);
    for (const { id, phase } of this.#steps.values()) {
      if (phase !== "prep") continue;
      items.dropPages(id);
      chunks.forget("=", id);
    }
  }

  #countLosses(): void {
    const worst = this.#losses.count(this.pending().filter((effect) => effect.type === "hook"));
    if (worst) this.end({ type: "broke", ...lostAt(this.draft.step(worst.step) as StepRow, worst.losses) });
  }

  /** A step's prep has ended: with its items in pages, or its one item, or none at all. */
  prepared(row: StepRow, size: number, solo: SoloItem | null): Effect[] {
    if (solo) this.draft.items.set(row.id, solo);
    this.draft.prepared.push(row.id);
    this.draft.put({ ...row, isSolo: solo !== null });
    return this.apply({ type: "prepared", step: row.id, size });
  }

  /** A step's post has ended. `output` gives what the run gives back if that was all. */
  posted(step: number, action: string | null, output: Draft["output"]): Effect[] {
    this.draft.posted.push(step);
    this.draft.output = output;
    return this.apply({ type: "posted", step, action, hasFailures: output !== null && this.hasFailures });
  }

  /** A post has ended whose step was stopped meanwhile: should that go on one day, it goes on from there. */
  postedLate(step: number, action: string | null): void {
    if (!this.isFinished) this.draft.lateActions.set(step, action ?? "");
  }

  /** Whether something waits to be stored, and may be: no hook that has written is still under way. */
  get canFlush(): boolean {
    if (this.draft.isEmpty || this.isFinished) return false;
    return this.inHook.size === 0 || !this.live.haveWritten(this.inHook);
  }

  /** What hooks wrote, as text, or why it cannot be stored: where one of them wrote what no text can be made of. */
  written(): (Written & { output: string | null }) | Fault {
    const { prepared, items, output } = this.draft;
    // Of a step that has failed in its post what its prep returned is kept: a redrive may run that post once more.
    const posted = this.draft.posted.filter((step) => this.draft.step(step)?.phase !== "stopped");
    try {
      const written = this.live.write(
        prepared.map((step) => [step, items.get(step)?.item.length ?? 0] as const),
        posted,
      );
      return { ...written, output: output?.() ?? null };
    } catch (error) {
      const writer = error instanceof UnstorableError ? error.writer : (posted.at(-1) ?? prepared.at(-1));
      const [first = { node: this.row.shape.root, branch: "" }] = this.draft.steps.values();
      return faultAt(this.draft.step(writer ?? 0) ?? first, error);
    }
  }

  /** Stores all that hooks did since this was last called, and says what follows beside that. Called in a transaction. */
  flush({ entries, snapshot, output }: Written & { output: string | null }): Effect[] {
    const { draft } = this;
    const { journal, steps, longText, events, checkpoints } = this.#store;
    if (this.#hasSeenFailures(draft)) checkpoints.keep(this.state);
    for (const id of draft.resumed) this.#past.goOn(draft.steps.get(id) as StepRow);
    for (const id of draft.stopped) if (!draft.resumed.has(id)) this.#stop(draft.steps.get(id) as StepRow);
    if (snapshot !== null) journal.begin(snapshot);
    else for (const entry of entries) journal.append(entry);
    if (output !== null) longText.put("output", output);
    steps.save(
      Array.from(draft.steps.values(), (row) => this.#newStep(row)),
      this.#clock(),
    );
    for (const [step, action] of draft.lateActions) steps.saveLateAction(step, action);
    if (draft.ends.length > 0) steps.saveEnds(draft.ends);
    if (draft.emits.length > 0) events.emitted(draft.emits, this.#clock());
    if (draft.state !== this.state) this.#store.saveState(draft.state);
    for (const step of [...draft.prepared, ...draft.posted]) this.#losses.forget(step);
    this.#settle(draft);
    return draft.resumed.size === 0 ? [] : this.react({ steps: draft.resumed, late: [], failed: [], fields: [] });
  }

  /** The draft is how things stand now. */
  #settle(draft: Draft): void {
    this.state = draft.state;
    for (const row of draft.steps.values()) {
      if (isOpen(row)) this.#steps.set(row.id, row);
      else this.#forget(row.id);
    }
    for (const id of draft.stopped) {
      this.#past.drop(id);
      if (!this.inHook.has(id)) this.#live?.forget(id);
    }
    for (const id of draft.prepared) this.#begin(draft.steps.get(id) as StepRow, draft.items.get(id));
    for (const id of draft.resumed) if (!draft.prepared.includes(id)) this.#reopen(draft.steps.get(id) as StepRow);
    this.draft = new Draft(draft.state, this.#steps, this.#past.waiting, draft);
  }

  /** Whether a post that has ended saw items or branches that had failed. */
  #hasSeenFailures(draft: Draft): boolean {
    for (const id of draft.posted) if (hasFailures(draft.steps.get(id))) return true;
    for (const id of draft.lateActions.keys()) {
      if (hasFailures(draft.steps.get(id) ?? this.#store.steps.step(id))) return true;
    }
    return false;
  }

  #reopen(row: StepRow): void {
    if (row.phase === "exec" && row.total > 0) this.ledger.reopen(row);
  }

  /** A step's branch has failed: what of its items was not executed is canceled. */
  #stop(row: StepRow): void {
    const tally = this.ledger.stop(row.id);
    if (tally) Object.assign(row, tally);
    // One whose items were all settled is counted already.
    if (row.stoppedIn === "post") return;
    this.#past.add(row);
  }

  #forget(step: number): void {
    this.#steps.delete(step);
    this.#pages.forget(step);
  }

  /** The items of a step that has just been prepared may be claimed. */
  #begin(row: StepRow, solo: SoloItem | undefined): void {
    if (solo) this.#pages.keep(row.id, solo.item);
    if (row.phase === "exec" && row.total > 0) this.ledger.open(row, solo?.needs ?? null);
  }

  #newStep(row: StepRow) {
    const { item = null, needs = null } = this.draft.items.get(row.id) ?? {};
    return { row, isNew: !this.#steps.has(row.id) && !this.draft.resumed.has(row.id), item, needs };
  }

  #executed(id: number): Effect[] {
    const tally = this.ledger.close(id);
    const row = this.draft.step(id) as StepRow;
    this.#past.add({ total: row.total, ...tally });
    const effects = this.apply({ type: "executed", step: id });
    this.draft.put({ ...row, ...tally, phase: "post" });
    return effects;
  }

  /** Keeps what exec set on its node, for the items after it and for post. */
  #setFields(id: number, fields: string): void {
    const step = this.#steps.get(id);
    if (!step || this.isFinished) return;
    const all = { ...(step.fields === null ? {} : (decode(step.fields) as object)), ...(decode(fields) as object) };
    const row = { ...step, fields: encode(all, step.node) };
    this.#steps.set(id, row);
    this.#store.steps.save([{ row, isNew: false, item: null, needs: null }], this.#clock());
    this.#live?.assign(id, decode(fields) as object);
  }

  #open(): Live {
    const around = {
      parentOf: ({ parent }: StepRow) => (parent === null ? undefined : this.draft.step(parent)),
      paramsOf: (step: number, branch: number) => this.#pages.item(step, branch),
      isBatchFlow: ({ node }: StepRow) => this.flow.graph.kind(node).endsWith("batch-flow"),
    };
    return new Live(this.flow.graph, around, this.#store.journal.read());
  }
}

function hasFailures(row: StepRow | undefined): boolean {
  return row !== undefined && (row.failed > 0 || row.failedBranches > 0);
}

/** What ends or pauses a run as a whole is decided without a look at its steps. */
const NO_STEPS = { of: () => undefined, open: () => [], stoppedIn: () => [] };

const NOTHING = { entries: [], snapshot: null, output: null };
