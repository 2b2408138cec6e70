import { type Attempt, inTime } from "../core/attempt.ts";
import {
  type BatchApiNode,
  type BatchApiOptions,
  type BatchState,
  checkCollected,
  checkLine,
  checkState,
  endOfLine,
  jobFailed,
  noResult,
  progressOf,
} from "../core/batch-api.ts";
import { checkResults, execBatch } from "../core/chunks.ts";
import { decode, encode } from "../core/codec.ts";
import { errorOf, type Failure, toFailure } from "../core/errors.ts";
import { judged } from "../core/exec.ts";
import { nameOf } from "../core/follow.ts";
import { afterTrouble, isOfItems, pollDelayMs } from "../core/jobs.ts";
import type { BaseNode } from "../core/node.ts";
import { drive } from "../core/turn.ts";
import type { JobState } from "./chunks.ts";
import { failureOf, fallback, stored, timeoutOf, type View, written } from "./exec.ts";
import type { Failed, Outcome, Parked, Part } from "./outcome.ts";
import { type ClaimedChunk, type ClaimedItem, MESSAGE_TEXT } from "./protocol.ts";
import { checkLength } from "./text.ts";

/** A call for a chunk of items: of `execBatch`, or of a vendor's batch API. */
export function execChunk(call: ChunkCall): Promise<Outcome> {
  return call.view.self["_kind"] === "api-batch" ? execJob(call) : execItems(call);
}

/** One call for a chunk of items. */
export interface ChunkCall {
  view: View;
  claimed: ClaimedItem;
  chunk: ClaimedChunk;
  attempt: Attempt;
  isStopped(): boolean;
  /** Takes what more is to follow on: a call's results may be too much for one report. */
  push(outcome: Outcome): void;
}

/** Calls `execBatch`, and splits back what it returns. */
async function execItems(call: ChunkCall): Promise<Outcome> {
  const { view, claimed, chunk, attempt } = call;
  const { self } = view;
  try {
    const called = callTogether(self, chunk.items.map(decode), attempt);
    const returned = await inTime("execBatch", called, attempt, timeoutOf(self));
    const results = checkResults(nameOf(self), returned, chunk.indexes.length);
    const parts = new Parts(call);
    for (const [at, result] of results.entries()) await parts.add(at, result);
    return parts.end();
  } catch (error) {
    const failure = toFailure(error, Date.now());
    if (failure.rateLimited && claimed.refusalCosts === "nothing")
      return { ...failed(call, failure), isAttempt: false };
    return failedWhole(call, error, judged(self, failure, error));
  }
}

/** A step that began when its node had a `batchSize` goes on in chunks, though that may be gone. */
function callTogether(self: BaseNode, items: unknown[], attempt: Attempt): unknown {
  if (self["_options"].batchSize !== undefined) return execBatch(self, items, attempt);
  return Promise.all(items.map((item) => self.exec(item, attempt)));
}

/** Submits a job, asks how far it is, or collects its results: whichever is next. */
async function execJob(call: ChunkCall): Promise<Outcome> {
  const state = call.chunk.job ?? NO_JOB;
  const node = call.view.self as BatchApiNode;
  if (state.failure?.retryable === false) return new Parts(call).failAll(errorOf(state.failure));
  if (state.failure) {
    const error = errorOf(state.failure);
    return failedWhole(call, error, judged(node, state.failure, error));
  }
  const isPoll = state.job !== null && !state.isEnded;
  try {
    if (state.job === null) return await submit(call, node);
    return await (isPoll ? poll(call, node, state) : collect(call, node, state));
  } catch (error) {
    const failure = toFailure(error, Date.now());
    const next = error instanceof Unkept ? null : afterTrouble(state.trouble, failure);
    if (next) {
      troubled(call, failure, next.delayMs);
      return parked(call, { ...state, trouble: next.trouble }, next.delayMs);
    }
    const last = { ...failure, retryable: false };
    if (isPoll) return ended(call, state, last);
    const mayBeSplit = state.job === null && isOfItems(failure) && !(error instanceof Unkept);
    return mayBeSplit ? failedWhole(call, error, last) : new Parts(call).failAll(error);
  }
}

/** A job is a name, not what it names: it is written anew with each poll. In characters. */
const LONGEST_JOB = 100_000;
/** Of what the log is told of trouble. */
const LONGEST_MESSAGE = 300;

const NO_JOB: JobState = { job: null, polls: 0, isEnded: false, failure: null, trouble: 0 };

/** An executor may have been lost just after it had submitted the job: the vendor is asked first whether it has it. */
async function submit(call: ChunkCall, node: BatchApiNode): Promise<Outcome> {
  const { chunk, attempt } = call;
  const within = (hook: string, called: unknown) => inTime(hook, called, attempt, timeoutOf(node));
  const found = await within("find", node.find(attempt));
  const lines = () =>
    chunk.indexes.map((index, at) => ({ id: String(index), item: decode(chunk.items[at] as string) }));
  const job = found ?? (await within("submit", node.submit(lines(), attempt)));
  return parked(call, { ...NO_JOB, job: await kept(node, job, attempt) }, pollDelayMs(pollsOf(node), 0));
}

/** The vendor has a job of which no row can be made. No other submit would change that. */
class Unkept extends Error {}

/** A job's text. One that cannot be stored is canceled: nobody would know of it. */
async function kept(node: BatchApiNode, job: unknown, attempt: Attempt): Promise<string> {
  try {
    const what = `the job that submit of ${nameOf(node as BaseNode)} returned`;
    return checkLength(encode(job, what), what, LONGEST_JOB);
  } catch (error) {
    const { name, message } = error as Error;
    // Whatever comes of that: what is thrown here must not lead to another submit.
    await (async () => node.cancel(job, attempt))().catch(() => undefined);
    throw Object.assign(new Unkept(message), { name });
  }
}

/** It is tried again later. Said in the log: the run itself only waits. */
function troubled({ claimed, attempt }: ChunkCall, { name, message }: Failure, waitMs: number): void {
  const { step, index } = claimed;
  const error = `${name}: ${message.slice(0, LONGEST_MESSAGE)}`;
  const key = attempt.idempotencyKey;
  console.warn({ message: "A vendor's batch API is tried again", step, index, key, error, waitMs });
}

async function poll(call: ChunkCall, node: BatchApiNode, state: JobState): Promise<Outcome> {
  const { attempt } = call;
  const called = node.poll(decode(state.job as string), attempt);
  const found: BatchState = checkState(node, await inTime("poll", called, attempt, timeoutOf(node)));
  if (found.status === "failed") return ended(call, state, toFailure(jobFailed(found.error)));
  if (found.status === "ended") return ended(call, state, null);
  if (found.completed !== undefined) attempt.emit(progressOf(found));
  const polls = state.polls + 1;
  return parked(call, { ...state, polls, trouble: 0 }, pollDelayMs(pollsOf(node), polls));
}

async function collect(call: ChunkCall, node: BatchApiNode, state: JobState): Promise<Outcome> {
  const { chunk, attempt } = call;
  const places = new Map(chunk.indexes.map((index, at) => [String(index), at]));
  const parts = new Parts(call);
  const read = async () => {
    const lines = checkCollected(node, await node.collect(decode(state.job as string), attempt));
    for await (const line of lines) {
      checkLine(node, line);
      const at = places.get(line.id);
      if (at === undefined || !places.delete(line.id)) continue;
      await parts.add(at, endOfLine(line));
    }
  };
  await inTime("collect", read(), attempt, timeoutOf(node));
  for (const at of places.values()) await parts.add(at, noResult());
  return parts.end();
}

/** What comes next needs the items, which who polls has not. */
function ended(call: ChunkCall, state: JobState, failure: Failure | null): Outcome {
  return parked(call, { ...state, isEnded: true, failure: failure && short(failure), trouble: 0 }, 0);
}

function pollsOf(node: BatchApiNode) {
  return (node["_options"] as BatchApiOptions).poll ?? {};
}

/** What came of a call's items, as it comes. What is much goes ahead of the rest. */
class Parts {
  readonly #call: ChunkCall;
  #parts: Part[] = [];
  #text = 0;
  /** Failures after which there is another attempt: they are told last, with the end of the call. */
  readonly #again: Part[] = [];

  constructor(call: ChunkCall) {
    this.#call = call;
  }

  /** An item's result, or the Error in its place. */
  async add(at: number, result: unknown): Promise<void> {
    const { view, chunk } = this.#call;
    const index = chunk.indexes[at] as number;
    if (!(result instanceof Error)) return this.#ended(index, stored(result, view.self, index, null));
    const failure = judged(view.self, toFailure(result, Date.now()), result);
    const isFinal = this.#call.claimed.isLast || failure.retryable === false;
    // One that was told to stop says so in all of its results, perhaps.
    if (!isFinal || this.#call.isStopped()) this.#again.push([index, untold(failure)]);
    else this.#ended(index, await fallenBack(this.#call, at, result));
  }

  /** Every item without a result has failed for the same reason, for good. */
  async failAll(error: unknown): Promise<Outcome> {
    for (const at of this.#call.chunk.indexes.keys()) {
      this.#ended(this.#call.chunk.indexes[at] as number, await fallenBack(this.#call, at, error));
    }
    return this.end();
  }

  end(): Outcome {
    const parts = this.#parts.concat(this.#again);
    try {
      return { ...placeOf(this.#call), ok: true, parts, ...written(this.#call.view.fields()) };
    } catch (error) {
      return { ...placeOf(this.#call), ok: false, failure: { ...toFailure(error), retryable: false } };
    }
  }

  /** The last of them always goes with the end of the call, which says more. */
  #ended(index: number, outcome: Ended): void {
    const result = outcome.ok ? outcome.body : { ...short(outcome.failure), retryable: false };
    const text = typeof result === "string" ? result.length : result.message.length;
    if (this.#text + text > MESSAGE_TEXT && this.#parts.length > 0) {
      this.#call.push({ ...placeOf(this.#call), ok: true, parts: this.#parts, isMore: true });
      this.#parts = [];
      this.#text = 0;
    }
    this.#parts.push([index, result]);
    this.#text += text;
  }
}

type Ended = { ok: true; body: string } | { ok: false; failure: Failure };

async function fallenBack({ view, chunk, attempt }: ChunkCall, at: number, error: unknown): Promise<Ended> {
  const index = chunk.indexes[at] as number;
  return drive(fallback({ ...view, fields: () => null }, { index, item: chunk.items[at] as string }, error, attempt));
}

/** A call that has failed as a whole. Where it is split each half has its own attempts, and what is left over its own end. */
async function failedWhole(call: ChunkCall, error: unknown, failure: Failure): Promise<Outcome> {
  const { view, claimed, chunk } = call;
  const isFinal = claimed.isLast || failure.retryable === false;
  const isSplit = view.self["_options"].split === true && chunk.indexes.length > 1;
  if (!isFinal || isSplit || call.isStopped()) return failed(call, failure);
  return new Parts(call).failAll(error);
}

function failed(call: ChunkCall, failure: Failure): Failed {
  return { ...placeOf(call), ...failureOf(failure, call.view.fields) };
}

function parked(call: ChunkCall, job: JobState, waitMs: number): Parked {
  return { ...placeOf(call), ok: true, job, waitMs };
}

function placeOf({ claimed: { step, index, attempts }, chunk: { end } }: ChunkCall) {
  return { step, index, attempts, end };
}

/** Of thousands of failures at once the stacks are left out: they would be all alike. */
function short({ stack: _, ...failure }: Failure): Failure {
  return failure;
}

/** Of one after which there is another attempt little is kept beside when: there may be thousands in a call. */
const LONGEST_PASSING = 200;
function untold({ name, message, retryAfterMs }: Failure): Failure {
  const short = { name, message: message.slice(0, LONGEST_PASSING) };
  return { ...short, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}
