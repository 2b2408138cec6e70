import { decode, encode } from "../core/codec.ts";
import { describeType, errorOf, type Failure } from "../core/errors.ts";
import { BatchFlow } from "../core/flow.ts";
import { nameOf } from "../core/follow.ts";
import { isOneShot } from "../core/items.ts";
import { type BaseNode, type BranchEnd, hasOneItem, type NodeKind } from "../core/node.ts";
import { rawOf, withoutProxies } from "../core/recorder.ts";
import type { Effect, Fault, RunError } from "../core/run.ts";
import type { Outcome } from "../core/tolerance.ts";
import { isThenable } from "../core/turn.ts";
import { checkSignal, SleepNode, WaitForEvent, wakeMsOf } from "../core/waiting.ts";
import type { SoloItem } from "./draft.ts";
import { type Emit, writeEmit } from "./event-store.ts";
import { faultAt } from "./faults.ts";
import { changedFields, fieldsLeft, writeFields } from "./live.ts";
import { dependOnItem, storedNeeds } from "./needs.ts";
import { Pager } from "./pager.ts";
import type { Pages } from "./pages.ts";
import type { StepRow } from "./step-store.ts";
import type { Store } from "./store.ts";
import { checkLength } from "./text.ts";
import type { Wait } from "./waits.ts";
import type { Walk } from "./walk.ts";

/** A hook may take this long: it is run again after a crash, so long work belongs into exec. */
const HOOK_TIMEOUT_MS = 5 * 60 * 1000;
/** An action is a name. It is written into rows of the run's own, and warnings repeat it. */
const LONGEST_ACTION = 1_000;

/** Runs the hooks of a run's steps. What they did is in the walk's draft then, and not stored. */
export class Hooks {
  readonly #walk: Walk;
  readonly #store: Store;
  readonly #pages: Pages;
  readonly #onBroke: (fault: Fault) => void;
  /** What hooks that are under way have emitted: it is told when what they did is stored, and not twice if they are lost. */
  readonly #told = new Map<number, Emit[]>();

  constructor(walk: Walk, store: Store, pages: Pages, onBroke: (fault: Fault) => void) {
    this.#walk = walk;
    this.#store = store;
    this.#pages = pages;
    this.#onBroke = onBroke;
  }

  /** Performs an effect. One that was performed already, or came too late, does nothing. */
  *perform(effect: Effect): Generator<unknown, Effect[], unknown> {
    const { state, draft } = this.#walk;
    if (state.status !== "running") return [];
    if (effect.type === "branch") return this.#walk.apply({ type: "branched", step: effect.step });
    const step = draft.step(effect.step);
    if (step?.phase !== effect.hook || this.#walk.inHook.has(step.id)) return [];
    const effects = yield* this.#run(effect.hook, step);
    const fault = this.#walk.brokeWith;
    if (fault) this.#onBroke(fault);
    return effects;
  }

  *#run(hook: "prep" | "post", step: StepRow): Generator<unknown, Effect[], unknown> {
    this.#walk.inHook.add(step.id);
    this.#told.set(step.id, []);
    try {
      const effects = yield* hook === "prep" ? this.#prep(step) : this.#post(step);
      this.#walk.draft.emits.push(...(this.#told.get(step.id) ?? []));
      return effects;
    } catch (error) {
      return this.#isOver(step) ? [] : this.#walk.failed(step.id, faultAt(step, error));
    } finally {
      this.#told.delete(step.id);
      this.#walk.leaveHook(step.id);
    }
  }

  /** Whether a hook under way is none of the run's any more: that has finished, or stopped the hook's step with its branch. */
  #isOver({ id }: StepRow): boolean {
    return this.#walk.isFinished || this.#walk.overtaken.has(id);
  }

  *#prep(step: StepRow): Generator<unknown, Effect[], unknown> {
    const { live } = this.#walk;
    const node = this.#nodeOf(step);
    const before = writeFields(node);
    const shared = live.sharedFor(step.id);
    const returned = yield inTime(node.prep(shared), step, "prep");
    if (this.#isOver(step)) return [];
    const prepRes = withoutProxies(returned);
    const solo = this.#hasOneItem(step) ? this.#soloItem(step, prepRes) : null;
    const isMany = this.#isMany(step);
    const size = isMany ? ((yield* this.#storeItems(step, node, prepRes)) as number) : 1;
    if (this.#isOver(step)) return [];
    const changed = changedFields(node, before);
    const fields = fieldsLeft(node, changed, shared);
    const isList = isMany && this.#isGivenAsList(step, prepRes);
    const canReturn = isList || this.#canReturn(step, prepRes);
    live.keep(step.id, { prepRes: isList ? undefined : prepRes, canReturn, isMany, fields: changed });
    const total = this.#isFlow(step) ? 0 : size;
    const wait = waitOf(node, prepRes);
    const { batchSize } = this.#walk.flow.planOf(step.node);
    const row = { ...step, total, fields, params: live.changedParams(step), batchSize, wait };
    return this.#walk.prepared(row, size, solo);
  }

  *#post(step: StepRow): Generator<unknown, Effect[], unknown> {
    const { live } = this.#walk;
    if (step.lateAction !== null) return this.#walk.posted(step.id, step.lateAction || null, null);
    const node = this.#nodeOf(step);
    const prepRes = live.prepRes(step.id, () => this.#storedPrepRes(step));
    const given = [live.sharedFor(step.id), prepRes, this.#execRes(step)] as const;
    const called = this.#isBatchFlow(step) ? this.#postBranches(node, step, given) : node.post(...given);
    const action = checkAction(yield inTime(called, step, "post"), step);
    live.close(step.id);
    if (this.#isOver(step)) {
      this.#walk.postedLate(step.id, action);
      return [];
    }
    const params = live.changedParams(step);
    if (params !== step.params) this.#walk.draft.put({ ...step, params });
    return this.#walk.posted(step.id, action, step.parent === null ? () => this.#output(step) : null);
  }

  /** The step's node, which tells those that follow the run what it emits. */
  #nodeOf(step: StepRow): BaseNode {
    const node = this.#walk.live.node(step);
    node["_follower"] = (index, data) => {
      const text = writeEmit(step.node, data);
      const { id, node: name, branch } = step;
      if (text !== undefined) this.#told.get(id)?.push({ step: id, node: name, branch, index, data: text });
    };
    return node;
  }

  #soloItem({ node: id }: StepRow, prepRes: unknown): SoloItem {
    const what = `item 0 of ${id}`;
    const { limits } = this.#walk.flow.planOf(id);
    const item = checkLength(encode(prepRes, what), what);
    return { item, needs: dependOnItem(limits) ? storedNeeds(limits, rawOf(prepRes)) : null };
  }

  *#storeItems(step: StepRow, node: BaseNode, prepRes: unknown): Generator<unknown, number, unknown> {
    const { limits, batchSize } = this.#walk.flow.planOf(step.node);
    const place = { id: step.node, batchSize, limits: this.#isFlow(step) ? [] : limits };
    const pager = new Pager(this.#store, step.id, node, place, () => this.#isOver(step));
    const added = pager.addAll(prepRes);
    // One that has written holds up all others, so a source that is slow is given no more time than a hook is.
    yield this.#walk.live.hasWritten(step.id) ? inTime(added, step, "prep") : added;
    // The step's pages may be those of another prep by now.
    return this.#isOver(step) ? 0 : pager.end();
  }

  /** Whether post gets the list of what prep gave, and not what it returned: that could be read only once. */
  #isGivenAsList(step: StepRow, prepRes: unknown): boolean {
    return this.#isBatchFlow(step) ? !Array.isArray(prepRes) : isOneShot(prepRes) || isAsync(prepRes);
  }

  /** Whether what prep returned can be had back from the step's items. A flow has none, and none give back nothing. */
  #canReturn(step: StepRow, prepRes: unknown): boolean {
    if (this.#isMany(step)) return Array.isArray(prepRes);
    return this.#hasOneItem(step) || prepRes === undefined;
  }

  #storedPrepRes(step: StepRow): unknown {
    if (this.#kindOf(step) === "flow") return undefined;
    if (step.isSolo) return decode(this.#pages.item(step.id, 0));
    const items = Array.from(this.#store.items.paged(step.id), decode);
    return this.#hasOneItem(step) ? items[0] : items;
  }

  #execRes(step: StepRow): unknown {
    if (this.#isBatchFlow(step)) return undefined;
    if (this.#isFlow(step)) return step.lastAction ?? undefined;
    if (step.isSolo) return decode(this.#walk.ledger.takeResult(step.id));
    if (this.#collects(step)) return Array.from(this.#store.items.outcomes(step.id), outcomeOf);
    const results = Array.from(this.#store.items.results(step.id), decode);
    return this.#hasOneItem(step) ? results[0] : results;
  }

  /** A batch flow that collects failures gets an outcome of each branch where batch nodes get theirs. */
  #postBranches(
    node: BaseNode,
    step: StepRow,
    [shared, paramsList, none]: readonly [unknown, unknown, unknown],
  ): unknown {
    if (node.post === BatchFlow.prototype.post) return undefined;
    const ends = this.#branchEnds(step);
    if (!this.#collects(step))
      return node.post(
        shared,
        paramsList,
        none,
        ends.map(({ end }) => end),
      );
    const outcomes = ends.map(({ end, error }): Outcome<BranchEnd> => {
      return error ? { ok: false, error: errorOf(error) } : { ok: true, value: end };
    });
    return node.post(shared, paramsList, outcomes);
  }

  /** How each branch of a batch flow ended. */
  #branchEnds({ id }: StepRow): { end: BranchEnd; error: RunError | null }[] {
    const ends = this.#walk.endsOf(id);
    const steps = ends.flatMap(({ end }) => end ?? []);
    const nodes = this.#walk.nodesOf(steps);
    const results = this.#store.items.resultsOf(steps);
    return ends.map(({ action, end, error }) => {
      const result = end === null ? undefined : this.#endResult(end, nodes.get(end) as string, results.get(end) ?? []);
      return { end: { action: action ?? undefined, result }, error };
    });
  }

  /** What the last node of a branch returned, of which `results` are the texts. */
  #endResult(step: number, node: string, results: string[]): unknown {
    const { graph } = this.#walk.flow;
    if (graph.has(node) && graph.tolerance(node)) return Array.from(this.#store.items.outcomes(step), outcomeOf);
    const all = results.map(decode);
    const kind = this.#walk.kindOf(node);
    return kind && hasOneItem(kind) ? all[0] : all;
  }

  #collects({ node }: StepRow): boolean {
    return this.#walk.flow.graph.tolerance(node) !== null;
  }

  /** What the run gives back if this was its last hook. */
  #output(step: StepRow): string {
    const { flow, live } = this.#walk;
    const shared = live.sharedFor(step.id);
    const output = flow.output ? flow.output(shared) : shared;
    return checkLength(encode(withoutProxies(output), "output"), "output");
  }

  #hasOneItem(step: StepRow): boolean {
    return hasOneItem(this.#kindOf(step));
  }

  #kindOf({ node }: StepRow): NodeKind {
    return this.#walk.flow.graph.kind(node);
  }

  #isFlow({ node }: StepRow): boolean {
    return this.#walk.flow.graph.startOf(node) !== undefined;
  }

  #isBatchFlow(step: StepRow): boolean {
    return this.#kindOf(step).endsWith("batch-flow");
  }

  /** Whether prep gives many: items of a batch, or params of branches. */
  #isMany(step: StepRow): boolean {
    return this.#kindOf(step) !== "flow" && !this.#hasOneItem(step);
  }
}

function outcomeOf({ ok, body }: { ok: boolean; body: string }): Outcome {
  return ok ? { ok, value: decode(body) } : { ok: false, error: errorOf(JSON.parse(body) as Failure) };
}

/** What a node without exec waits for that begins to wait now. */
function waitOf(node: BaseNode, prepRes: unknown): Wait | null {
  const nowMs = Date.now();
  if (node instanceof SleepNode) return { signal: null, untilMs: wakeMsOf(nameOf(node), prepRes, nowMs) };
  if (!(node instanceof WaitForEvent)) return null;
  return { signal: checkSignal(nameOf(node), prepRes), untilMs: node["_timeoutMs"](nowMs) };
}

function isAsync(prepRes: unknown): boolean {
  return typeof prepRes === "object" && prepRes !== null && Symbol.asyncIterator in prepRes;
}

function checkAction(returned: unknown, { node }: StepRow): string | null {
  if (returned === undefined || returned === null) return null;
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
