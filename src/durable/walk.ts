import { decode, encode } from "../core/codec.ts";
import { describeType, toFailure } from "../core/errors.ts";
import type { Graph } from "../core/graph.ts";
import { isOneShot } from "../core/items.ts";
import type { BaseNode } from "../core/node.ts";
import { type Effect, type Event, effectsOf, isFinished, type RunState, type Step, transition } from "../core/run.ts";
import { isThenable } from "../core/turn.ts";
import { type Counts, StepItems } from "./items.ts";
import { Ledger, type Settled } from "./ledger.ts";
import { fieldsLeft, Live, writeFields } from "./live.ts";
import { Pager } from "./pager.ts";
import type { Registered } from "./registry.ts";
import type { RunRow, StepRow, Store } from "./store.ts";
import { checkLength } from "./text.ts";

/** A hook may take this long: it is run again after a crash, so long work belongs into exec. */
const HOOK_TIMEOUT_MS = 5 * 60 * 1000;
/** An action is a name. It is written into rows of the run's own, and warnings repeat it. */
const LONGEST_ACTION = 1_000;
/** A hook during which the run's object was lost so often fails the run: it is what ends the object. */
const MOST_LOSSES = 5;

/**
 * One run's way through its graph: the state machine of the core over stored rows, and the hooks that move it. `apply` decides
 * and stores; `perform` runs a hook and commits what it did.
 */
export class Walk {
  readonly row: RunRow;
  readonly ledger: Ledger;
  /** Whether any node of the flow has limits. */
  readonly hasLimits: boolean;
  state: RunState;
  readonly #store: Store;
  readonly #flow: Registered;
  readonly #steps = new Map<number, StepRow>();
  readonly #settled: { total: number; succeeded: number; failed: number };
  readonly #inHook = new Set<number>();
  readonly #clock: () => number;
  #live: Live | undefined;

  constructor(store: Store, flow: Registered, clock: () => number) {
    this.#store = store;
    this.#flow = flow;
    this.#clock = clock;
    this.row = store.run();
    this.state = this.row.state;
    this.hasLimits = [...flow.graph.ids].some((id) => flow.planOf(id).limits.length > 0);
    this.ledger = new Ledger(store);
    this.#settled = store.settledCounts();
    for (const step of store.openSteps()) this.#steps.set(step.id, step);
    const inExec = [...this.#steps.values()].filter((step) => step.phase === "exec" && step.total > 0);
    this.ledger.restore(
      inExec.map((step) => this.#itemsOf(step)),
      clock(),
    );
  }

  get isFinished(): boolean {
    return isFinished(this.state.status);
  }

  /** The step the run is at: the latest that is under way. */
  get current(): StepRow | undefined {
    return [...this.#steps.values()].at(-1);
  }

  get isInHook(): boolean {
    return this.#inHook.size > 0;
  }

  /** Counts over every item of every step so far. What a finished run never executed is canceled. */
  get counts(): Counts & { canceled: number } {
    const { total, succeeded, failed } = this.#settled;
    const sum = { total, pending: 0, running: 0, deferred: 0, succeeded, failed, canceled: 0 };
    for (const { counts } of this.ledger.steps.values()) {
      for (const key of ["total", "pending", "running", "deferred", "succeeded", "failed"] as const) {
        sum[key] += counts[key];
      }
    }
    if (!this.isFinished) return sum;
    const canceled = sum.pending + sum.running + sum.deferred;
    return { ...sum, pending: 0, running: 0, deferred: 0, canceled };
  }

  get batchNodes(): string[] {
    return this.row.shape.nodes.filter(({ kind }) => kind.endsWith("batch")).map(({ id }) => id);
  }

  step(id: number): StepRow | undefined {
    return this.#steps.get(id);
  }

  /** Decides what an event makes of the run and stores it; the caller commits, then performs what is returned. */
  apply(event: Event): Effect[] {
    const { run, steps, effects } = transition(
      this.state,
      (id) => this.#steps.get(id),
      event,
      this.#flow.graph,
      this.#clock(),
    );
    for (const step of steps) this.#move(step);
    if (run !== this.state) this.#store.saveState(run);
    this.state = run;
    return effects;
  }

  /** What reports and losses mean for the run: the first item that failed for good fails it; a step all settled moves on. */
  react({ failures: [first], steps, fields }: Settled): Effect[] {
    for (const set of fields) this.#setFields(set.step, set.fields);
    if (first) {
      const { node = null, branch = null } = this.#steps.get(first.step) ?? {};
      const { name, message } = first.failure;
      return this.apply({
        type: "broke",
        error: { name, message, node, branch, index: first.index, attempts: first.attempts },
      });
    }
    return [...steps].flatMap((step) =>
      this.ledger.steps.get(step)?.isSettled ? this.apply({ type: "executed", step }) : [],
    );
  }

  /** What a run that was at rest, or lost its object, has to do. */
  pending(): Effect[] {
    return effectsOf(this.state, this.#steps.values(), this.#flow.graph);
  }

  /** The object was loaded anew: what was under way in it is lost. Called in a transaction. */
  recover(): Effect[] {
    const effects = this.react(this.ledger.loseInline(this.#clock()));
    for (const step of this.#steps.values()) {
      if (step.phase !== "prep" && step.phase !== "post") continue;
      this.#save({ ...step, losses: step.losses + 1 });
      if (step.phase === "prep") this.#store.items.dropPages(step.id);
      if (step.losses + 1 > MOST_LOSSES) effects.push(...this.#broke(step, lostTooOften(step)));
    }
    return effects;
  }

  /** Runs a hook and commits what it did. An effect that was performed already, or came too late, does nothing. */
  *perform({ step: id, hook }: Effect & { type: "hook" }): Generator<unknown, Effect[], unknown> {
    const step = this.#steps.get(id);
    if (step?.phase !== hook || this.#inHook.has(id) || this.state.status !== "running") return [];
    this.#inHook.add(id);
    try {
      return yield* hook === "prep" ? this.#prep(step) : this.#post(step);
    } catch (error) {
      return this.#store.commit(() => this.#broke(step, error));
    } finally {
      this.#inHook.delete(id);
    }
  }

  *#prep(step: StepRow): Generator<unknown, Effect[], unknown> {
    const node = this.#node(step);
    const before = writeFields(node);
    const prepRes = yield inTime(node.prep(this.#shared), step, "prep");
    const isFlow = this.#graph.startOf(step.node) !== undefined;
    const total = isFlow ? 0 : ((yield* this.#storeItems(step, prepRes)) as number);
    const fields = fieldsLeft(node, before, this.#shared);
    const isReadOnce = !isFlow && (isOneShot(prepRes) || isAsync(prepRes));
    this.#kept.keep(step.id, isReadOnce ? undefined : prepRes, isReadOnce || this.#isPaged(step, prepRes));
    const graph = this.#kept.encode();
    if (this.isFinished) return [];
    return this.#store.commit(() => {
      this.#store.longText.put("live", graph);
      this.#steps.set(step.id, { ...step, total, fields });
      return this.apply({ type: "prepared", step: step.id, isEmpty: !isFlow && total === 0 });
    });
  }

  *#post(step: StepRow): Generator<unknown, Effect[], unknown> {
    const node = this.#node(step);
    const prepRes = this.#kept.prepRes(step.id, () => this.#pagedPrepRes(step));
    const returned = yield inTime(node.post(this.#shared, prepRes, this.#execRes(step)), step, "post");
    const action = checkAction(returned, step);
    const graph = this.#kept.encode(step.id);
    const output = this.#outputAfter({ type: "posted", step: step.id, action });
    if (this.isFinished) return [];
    const effects = this.#store.commit(() => {
      this.#store.longText.put("live", graph);
      if (output !== undefined) this.#store.longText.put("output", output);
      return this.apply({ type: "posted", step: step.id, action });
    });
    this.#kept.close(step.id);
    return effects;
  }

  *#storeItems(step: StepRow, prepRes: unknown): Generator<unknown, number, unknown> {
    const { limits } = this.#flow.planOf(step.node);
    const place = { id: step.node, limits };
    const pager = new Pager(this.#store, step.id, this.#node(step), place, () => this.isFinished);
    if (this.#graph.kind(step.node) === "node") pager.add(prepRes);
    else yield pager.addAll(prepRes);
    return pager.end();
  }

  /** Whether the step's pages give back exactly what prep returned. A flow has none, and none give back nothing. */
  #isPaged(step: StepRow, prepRes: unknown): boolean {
    const kind = this.#graph.kind(step.node);
    return kind === "flow" ? prepRes === undefined : kind === "node" || Array.isArray(prepRes);
  }

  #pagedPrepRes(step: StepRow): unknown {
    if (this.#graph.startOf(step.node) !== undefined) return undefined;
    const items = Array.from(this.#store.items.paged(step.id), decode);
    return this.#graph.kind(step.node) === "node" ? items[0] : items;
  }

  #execRes(step: StepRow): unknown {
    if (this.#graph.startOf(step.node) !== undefined) return step.lastAction || undefined;
    const results = Array.from(this.#store.items.results(step.id), decode);
    return this.#graph.kind(step.node) === "node" ? results[0] : results;
  }

  /** What the run gives back, if the event completes it. Computed before the commit, because the flow's own code may throw. */
  #outputAfter(event: Event): string | undefined {
    const { run } = transition(this.state, (id) => this.#steps.get(id), event, this.#graph, this.#clock());
    if (run.status !== "completed") return undefined;
    const output = this.#flow.output ? this.#flow.output(this.#shared) : this.#shared;
    return checkLength(encode(output, "output"), "output");
  }

  /** Keeps what exec set on its node, for the items after it and for post. */
  #setFields(id: number, fields: string): void {
    const step = this.#steps.get(id);
    if (!step || this.isFinished) return;
    const all = { ...(step.fields === null ? {} : (decode(step.fields) as object)), ...(decode(fields) as object) };
    this.#save({ ...step, fields: encode(all, step.node) });
    this.#live?.assign(id, decode(fields) as object);
  }

  #broke(step: StepRow, thrown: unknown): Effect[] {
    const { name, message } = toFailure(thrown);
    const { node, branch } = step;
    return this.apply({ type: "broke", error: { name, message, node, branch, index: null, attempts: null } });
  }

  #move(step: Step): void {
    const before = this.#steps.get(step.id) ?? { total: 0, succeeded: 0, failed: 0, losses: 0, fields: null };
    const items = this.ledger.steps.get(step.id);
    const { succeeded, failed } = items ?? before;
    const row: StepRow = { ...before, ...step, succeeded, failed, losses: 0 };
    this.#save(row);
    if (step.phase === "exec" && row.total > 0) this.ledger.steps.set(step.id, this.#itemsOf(row));
    if (step.phase === "post" && items) this.#close(items);
    if (step.phase === "done") this.#steps.delete(step.id);
  }

  #close({ step, total, succeeded, failed }: StepItems): void {
    this.ledger.steps.delete(step);
    this.#settled.total += total;
    this.#settled.succeeded += succeeded;
    this.#settled.failed += failed;
  }

  #save(step: StepRow): void {
    this.#steps.set(step.id, step);
    this.#store.saveStep(step);
  }

  #itemsOf(step: StepRow): StepItems {
    return new StepItems(this.#store, step, this.#flow.planOf(step.node));
  }

  #node(step: StepRow): BaseNode {
    return this.#kept.node(step, ({ parent }) => (parent === null ? undefined : this.#steps.get(parent)));
  }

  get #graph(): Graph {
    return this.#flow.graph;
  }

  get #shared(): unknown {
    return this.#kept.shared;
  }

  /** Read when a hook first needs it: a run that only hands out items never does. */
  get #kept(): Live {
    this.#live ??= new Live(this.#graph, this.#store.longText.get("live"));
    return this.#live;
  }
}

function isAsync(prepRes: unknown): boolean {
  return typeof prepRes === "object" && prepRes !== null && Symbol.asyncIterator in prepRes;
}

function checkAction(returned: unknown, { node }: StepRow): string {
  if (returned === undefined || returned === null) return "";
  const got = typeof returned === "string" ? `${returned.length} characters` : describeType(returned);
  if (typeof returned === "string" && returned.length <= LONGEST_ACTION) return returned;
  throw new TypeError(
    `Expected post of ${node} to return an action (a string of at most ${LONGEST_ACTION} characters) or nothing, got ${got}`,
  );
}

/** Bounds a hook that suspends: one that never ends would hold its run for ever. */
function inTime(returned: unknown, { node }: StepRow, hook: string): unknown {
  if (!isThenable(returned)) return returned;
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    const message = `Expected ${hook} of ${node} to end within ${HOOK_TIMEOUT_MS / 1000} s: long work belongs into exec`;
    timer = setTimeout(() => reject(new Error(message)), HOOK_TIMEOUT_MS);
  });
  return Promise.race([returned, late]).finally(() => clearTimeout(timer));
}

function lostTooOften({ phase, node, losses }: StepRow): Error {
  return new Error(
    `The run's object was lost ${losses + 1} times during ${phase} of ${node}: it probably needs more memory or CPU time ` +
      "than the platform gives. Move the work into exec, or split it.",
  );
}
