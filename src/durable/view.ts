import { toJson } from "../core/codec.ts";
import { kindOf } from "../core/error-groups.ts";
import type { History } from "../core/item.ts";
import type { CompletionReason, Redrive, RunError, RunStatus } from "../core/run.ts";
import type { DeliveryRow } from "./delivery-store.ts";
import type { Trigger } from "./index-entry.ts";
import type { ItemRow } from "./item-store.ts";
import type { Counts } from "./items.ts";
import { MESSAGE_TEXT } from "./protocol.ts";
import type { Rest } from "./rest.ts";
import type { ItemStatus } from "./statuses.ts";
import type { StepRow } from "./step-store.ts";
import type { HeldItem, Store } from "./store.ts";
import type { Walk } from "./walk.ts";

/** A run as a list shows it. */
export interface RunSummary {
  id: string;
  flow: string;
  /** The flow's version that it began with, and goes on with. */
  version: string | null;
  /** What started it: a request, or a cron or a webhook by its name. */
  trigger: Trigger;
  status: RunStatus | "waiting";
  createdAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  /** When a waiting run goes on; nothing where it waits for calls of other runs to end. */
  resumesAt: string | null;
  step: { node: string; phase: string } | null;
  items: Counts & { canceled: number };
  /** Calls of exec that were handed out: retries and re-executions after a crash are in it. */
  executions: number;
  /** Objects or queue slots that executed items of this run. */
  executors: number;
  action: string | null;
  error: RunError | null;
  /** Why a run has finished. */
  completionReason: CompletionReason | null;
  redriveCount: number;
}

/** All that there is to say of a run but its output, which may be long. */
export interface RunOutline extends RunSummary {
  /** What calls of exec have said that they used, by `settle`. */
  tokens: number;
  warnings: string[];
  /** The latest redrives: what the run was before, and how many of its items had failed. */
  redrives: (Omit<Redrive, "atMs"> & { at: string })[];
  /** What its nodes wait for: signals by name, or a time. The first of them, where there are many. */
  waitsFor: { node: string; branch: string; step: number; signal: string | null; until: string | null }[];
  /** What it was sent, and no node has taken yet. */
  signals: { id: string; name: string; at: string }[];
  /** Who is told of its end, and what came of that. */
  callback: CallbackView | null;
}

/** A run as clients see it. `output` is JSON text. */
export interface RunView extends RunOutline {
  output: string | null;
}

export interface CallbackView {
  /** Scheme and host of the URL: its path may hold a secret, as that of a chat's webhook does. */
  origin: string;
  deliveries: DeliveryView[];
}

/** What became of the message of one end. */
export interface DeliveryView {
  id: string;
  type: string;
  status: DeliveryRow["status"];
  tries: number;
  triedAt: string | null;
  nextAt: string | null;
  /** The status of the receiver's latest answer. */
  httpStatus: number | null;
  error: string | null;
}

export interface ItemView {
  node: string;
  branch: string;
  step: number;
  index: number;
  status: ItemStatus;
  /** Since the latest redrive that executed it once more. */
  attempts: number;
  /** How many redrives have executed it once more. */
  redrives: number;
  startedAt: string | null;
  finishedAt: string | null;
  /** JSON text. */
  result?: string;
  error?: { name: string; message: string };
}

export interface ItemQuery {
  status: ItemStatus | null;
  node: string | null;
  /** Only failed items with this kind of error. */
  error: string | null;
  /** Only items that have this text in their index, branch, result or error. */
  text: string | null;
  limit: number;
  /** Where to go on: the step and the index of the next item. */
  from: { step: number; index: number };
}

export interface ItemPage {
  items: ItemView[];
  next: { step: number; index: number } | null;
}

export interface ResultPage {
  step: number;
  /** NDJSON, one line for each terminal item. */
  lines: string;
  next: number | null;
}

/** So many of a run's waits are shown with it; each is an item as well, and these can be listed. */
const MOST_WAITS = 100;

export function statusOfRun({ state }: Walk, rest: Rest | null, nowMs: number): RunSummary["status"] {
  return isWaiting(rest, nowMs) ? "waiting" : state.status;
}

function isWaiting(rest: Rest | null, nowMs: number): rest is Rest {
  return rest !== null && (rest.untilMs === null || rest.untilMs > nowMs);
}

export function summarize(walk: Walk, rest: Rest | null, nowMs: number): RunSummary {
  const { row, state, ledger, counts, current } = walk;
  return {
    id: row.id,
    flow: row.flow,
    version: row.version,
    trigger: row.startedBy,
    status: statusOfRun(walk, rest, nowMs),
    createdAt: iso(row.createdMs) as string,
    startedAt: iso(state.startedMs),
    finishedAt: iso(state.finishedMs),
    resumesAt: isWaiting(rest, nowMs) ? iso(rest.untilMs) : null,
    step: current ? { node: current.node, phase: current.phase } : null,
    items: counts,
    executions: ledger.executions,
    executors: ledger.executors,
    action: state.action,
    error: state.error,
    completionReason: state.completionReason,
    redriveCount: state.redriveCount,
  };
}

export function outline(walk: Walk, store: Store, rest: Rest | null, nowMs: number): RunOutline {
  const { warnings, redrives } = walk.state;
  const { callback } = walk.row;
  return {
    ...summarize(walk, rest, nowMs),
    tokens: walk.ledger.tokens,
    warnings,
    redrives: redrives.map(({ atMs, ...redrive }) => ({ at: iso(atMs) as string, ...redrive })),
    waitsFor: waitsOf(walk),
    signals: store.signals.list().map(({ atMs, ...signal }) => ({ ...signal, at: iso(atMs) as string })),
    callback:
      callback === null
        ? null
        : { origin: new URL(callback).origin, deliveries: store.deliveries.all().map(viewDelivery) },
  };
}

function waitsOf(walk: Walk): RunOutline["waitsFor"] {
  if (walk.isFinished) return [];
  const found: RunOutline["waitsFor"] = [];
  for (const [step, { signal, untilMs }] of walk.ledger.waits.all()) {
    if (found.length === MOST_WAITS) break;
    const { node, branch } = walk.step(step) as StepRow;
    found.push({ node, branch, step, signal, until: iso(untilMs) });
  }
  return found;
}

/** What the run gives back, as JSON text; nothing where it has not completed. */
export function outputOf({ state }: Walk, store: Store): string | null {
  return state.status === "completed" ? toJson(store.longText.get("output")) : null;
}

function viewDelivery({ id, type, status, tries, triedMs, dueMs, httpStatus, error }: DeliveryRow): DeliveryView {
  return { id, type, status, tries, triedAt: iso(triedMs), nextAt: iso(dueMs), httpStatus, error };
}

/** Whoever looks for few items among many is answered after so many: the object has other things to do. */
const MOST_LOOKED_AT = 20_000;

/** Lists items in the order of steps and indexes, from the query's place on. */
export function listItems(walk: Walk, store: Store, query: ItemQuery): ItemPage {
  const items: ItemView[] = [];
  let text = 0;
  let seen = 0;
  const status = query.error === null ? query.status : (query.status ?? "failed");
  for (const step of store.steps.withItems(query.node, query.from.step)) {
    const first = step.id === query.from.step ? query.from.index : 0;
    for (const item of itemsOf(walk, store, step, first, status)) {
      if (items.length === query.limit || text > MESSAGE_TEXT || seen++ === MOST_LOOKED_AT)
        return { items, next: { step: step.id, index: item.index } };
      if (!isMeant(item, query)) continue;
      items.push(item);
      text += item.result?.length ?? 0;
    }
  }
  return { items, next: null };
}

function isMeant({ index, branch, result, error }: ItemView, query: ItemQuery): boolean {
  if (query.error !== null && (!error || kindOf(error) !== query.error)) return false;
  if (query.text === null) return true;
  const wanted = query.text.toLowerCase();
  const texts = [String(index), branch, result ?? "", error ? `${error.name}: ${error.message}` : ""];
  return texts.some((each) => each.toLowerCase().includes(wanted));
}

/** One visit of a node, as a waterfall shows it. */
export interface StepView extends Pick<StepRow, "id" | "node" | "branch" | "phase" | "total" | "succeeded" | "failed"> {
  startedAt: string | null;
  finishedAt: string | null;
}

export interface StepPage {
  steps: StepView[];
  /** The number of the step at which the next page begins. */
  next: number | null;
}

/** Lists steps in the order in which the run came to them, from a number on. */
export function listSteps(store: Store, from: number, limit: number): StepPage {
  const steps: StepView[] = [];
  for (const { id, node, branch, phase, total, succeeded, failed, startedMs, finishedMs } of store.steps.timed(from)) {
    if (steps.length === limit) return { steps, next: id };
    const times = { startedAt: iso(startedMs), finishedAt: iso(finishedMs) };
    steps.push({ id, node, branch, phase, total, succeeded, failed, ...times });
  }
  return { steps, next: null };
}

/** A step's items from index `first` on; only those of one status if it is given. */
export function* itemsOf(
  walk: Walk,
  store: Store,
  step: StepRow,
  first: number,
  wanted: ItemStatus | null,
): Generator<ItemView> {
  const held = new Map<number, HeldItem>();
  for (const item of walk.ledger.heldItems()) {
    if (item.step !== step.id) continue;
    for (const index of walk.ledger.group(step.id)?.membersOf(item) ?? [item.index]) held.set(index, item);
  }
  const isSettled = wanted === "succeeded" || wanted === "failed";
  const rows = store.items.from(step.id, first, isSettled ? wanted : null);
  for (const { index, row } of isSettled ? settledOnly(rows) : withGaps(rows, first, step.total)) {
    const claimedMs = held.get(index)?.claimedMs ?? null;
    const status = statusOf(walk, step, index, row?.status, claimedMs !== null);
    if (wanted !== null && status !== wanted) continue;
    const history = row ?? walk.ledger.group(step.id)?.history({ step: step.id, index });
    yield { ...itemView(step, index, status, row, claimedMs), ...triesOf(history) };
  }
}

interface Known {
  index: number;
  row: ItemRow | undefined;
}

function* settledOnly(rows: Iterable<ItemRow>): Generator<Known> {
  for (const row of rows) yield { index: row.index, row };
}

/** An item without a row is pending or in exec. */
function* withGaps(rows: Iterator<ItemRow>, first: number, total: number): Generator<Known> {
  let next = rows.next();
  for (let index = first; index < total; index++) {
    const row = !next.done && next.value.index === index ? next.value : undefined;
    if (row) next = rows.next();
    yield { index, row };
  }
}

function itemView(
  { id, node, branch }: StepRow,
  index: number,
  status: ItemStatus,
  row: ItemRow | undefined,
  claimedMs: number | null,
): Omit<ItemView, "attempts" | "redrives"> {
  const isSettled = status === "succeeded" || status === "failed";
  return {
    node,
    branch,
    step: id,
    index,
    status,
    startedAt: iso(row?.startedMs ?? claimedMs),
    finishedAt: isSettled ? iso(row?.finishedMs ?? null) : null,
    ...(isSettled ? endOf(row as ItemRow) : {}),
  };
}

function triesOf(history: History | undefined): Pick<ItemView, "attempts" | "redrives"> {
  return { attempts: history?.attempts ?? 0, redrives: history?.redrives ?? 0 };
}

/** How an item stands, of which `stored` is what its row says. */
export function statusOf(
  walk: Walk,
  step: StepRow,
  index: number,
  stored: ItemRow["status"] | undefined,
  isHeld: boolean,
): ItemStatus {
  if (stored === "succeeded" || stored === "failed") return stored;
  if (walk.isFinished || walk.isStopped(step)) return "canceled";
  if (isHeld) return "running";
  if (walk.ledger.group(step.id)?.isDeferred({ step: step.id, index })) return "deferred";
  return stored ?? "pending";
}

function endOf({ status, body }: ItemRow): Pick<ItemView, "result" | "error"> {
  if (status === "succeeded") return { result: toJson(body as string) };
  const { name, message } = JSON.parse(body as string) as { name: string; message: string };
  return { error: { name, message } };
}

/** The terminal items of a node's latest step, of the latest batch step, or of a step by its number, from `from` on. */
export function listResults(
  walk: Walk,
  store: Store,
  node: string | null,
  id: number | null,
  from: number,
): ResultPage {
  const step = id === null ? store.steps.latest(node === null ? walk.batchNodes : [node]) : store.steps.step(id);
  let lines = "";
  for (const item of step ? itemsOf(walk, store, step, from, null) : []) {
    if (lines.length > MESSAGE_TEXT) return { step: step?.id ?? 0, lines, next: item.index };
    lines += lineOf(item);
  }
  return { step: step?.id ?? 0, lines, next: null };
}

function lineOf({ index, status, result, error }: ItemView): string {
  if (status === "succeeded") return `{"index":${index},"status":"succeeded","result":${result}}\n`;
  if (status === "failed") return `${JSON.stringify({ index, status, error })}\n`;
  return status === "canceled" ? `${JSON.stringify({ index, status })}\n` : "";
}

export function iso(timeMs: number | null): string | null {
  return timeMs === null ? null : new Date(timeMs).toISOString();
}
