import type { Failure } from "../core/errors.ts";
import type { JobState } from "./chunks.ts";
import type { Outcome, Part } from "./outcome.ts";
import type { ClaimedChunk, ClaimedItem, Reply, Report, RunPort, StepBrief } from "./protocol.ts";
import type { Entry } from "./slots.ts";

// The same two calls as they cross from object to object: items and outcomes as tuples. The platform writes the name of every
// property of every object it sends, which for small items costs more than executing them.

type ItemTuple = [
  step: number,
  index: number,
  attempts: number,
  isLast: boolean,
  item: string,
  refusalCosts?: "nothing" | "an attempt" | undefined,
  redrives?: number,
  chunk?: ClaimedChunk,
];
/** A result is text and a failure is not, so one place serves both; then, where there is more to say, the rest. */
type OutcomeTuple = [step: number, index: number, attempts: number, result: string | Failure, rest?: Rest];
interface Rest {
  end?: number;
  parts?: readonly Part[];
  isMore?: true;
  job?: JobState;
  waitMs?: number;
  fields?: string;
  tokens?: number;
  isAttempt?: false;
}

/** What executors have understood since the second version: steps that have the same in common are told together. */
const VERSION = 2;
/** As the first version has it: each step for itself. */
type LoneBrief = Omit<StepBrief, "steps"> & { step: number };

export interface WireReply extends Omit<Reply, "items" | "steps"> {
  items: ItemTuple[];
  steps: (StepBrief | LoneBrief)[];
}

export interface WireReport extends Omit<Report, "outcomes"> {
  outcomes: OutcomeTuple[];
  version?: number;
}

/** What a run's object answers to. During a deploy runs and executors of two versions speak with each other. */
export interface WirePort {
  enter(entry: Entry, fingerprint: string, version?: number): Promise<WireReply | null>;
  report(report: WireReport): Promise<WireReply>;
}

/** The calls of an executor over a way to the run's object. */
export function overWire(port: WirePort): RunPort {
  return {
    enter: async (entry, fingerprint) => {
      const reply = await port.enter(entry, fingerprint, VERSION);
      return reply && readReply(reply);
    },
    report: async (report) =>
      readReply(await port.report({ ...report, outcomes: report.outcomes.map(writeOutcome), version: VERSION })),
  };
}

export function writeReply(reply: Reply, version = 1): WireReply {
  const steps = version < VERSION ? reply.steps.flatMap(loneBriefs) : reply.steps;
  return { ...reply, steps, items: reply.items.map(writeItem) };
}

function readReply(reply: WireReply): Reply {
  return { ...reply, steps: reply.steps.map(readBrief), items: reply.items.map(readItem) };
}

function loneBriefs({ steps, ...brief }: StepBrief): LoneBrief[] {
  return steps.map((step) => ({ step, ...brief }));
}

function readBrief(brief: StepBrief | LoneBrief): StepBrief {
  return "steps" in brief ? brief : { steps: [brief.step], node: brief.node, fields: brief.fields };
}

/** An executor that was called before a deploy may still speak as it did then. */
export function readReport(report: WireReport): Report {
  return {
    ...report,
    begun: report.begun ?? [],
    emits: report.emits ?? [],
    isIdle: report.isIdle ?? false,
    outcomes: report.outcomes.map(readOutcome),
  };
}

function writeItem({ step, index, attempts, redrives, isLast, item, refusalCosts, chunk }: ClaimedItem): ItemTuple {
  const tuple: ItemTuple = [step, index, attempts, isLast, item];
  if (refusalCosts !== undefined || redrives > 0 || chunk) tuple.push(refusalCosts);
  if (redrives > 0 || chunk) tuple.push(redrives);
  if (chunk) tuple.push(chunk);
  return tuple;
}

function readItem([step, index, attempts, isLast, item, refusalCosts, redrives = 0, chunk]: ItemTuple): ClaimedItem {
  const claimed: ClaimedItem = { step, index, attempts, redrives, isLast, item };
  if (refusalCosts !== undefined) claimed.refusalCosts = refusalCosts;
  if (chunk !== undefined) claimed.chunk = chunk;
  return claimed;
}

function writeOutcome(outcome: Outcome): OutcomeTuple {
  const { step, index, attempts } = outcome;
  const rest = restOf(outcome);
  const result = outcome.ok ? ("body" in outcome ? outcome.body : "") : outcome.failure;
  return rest === undefined ? [step, index, attempts, result] : [step, index, attempts, result, rest];
}

function restOf(outcome: Outcome): Rest | undefined {
  const { fields, tokens, end } = outcome;
  const isAttempt = outcome.ok ? undefined : outcome.isAttempt;
  const isPlain = !outcome.ok || "body" in outcome;
  if (isPlain && [fields, tokens, isAttempt, end].every((part) => part === undefined)) return undefined;
  const rest: Rest = {};
  if (end !== undefined) rest.end = end;
  if (fields !== undefined) rest.fields = fields;
  if (tokens !== undefined) rest.tokens = tokens;
  if (isAttempt !== undefined) rest.isAttempt = isAttempt;
  if (outcome.ok && "parts" in outcome) rest.parts = outcome.parts;
  if (outcome.ok && "isMore" in outcome) rest.isMore = true;
  if (outcome.ok && "job" in outcome) Object.assign(rest, { job: outcome.job, waitMs: outcome.waitMs });
  return rest;
}

function readOutcome([step, index, attempts, result, rest]: OutcomeTuple): Outcome {
  const item = { step, index, attempts };
  if (rest?.parts || rest?.job) return { ...item, ok: true, ...rest } as Outcome;
  const outcome: Outcome =
    typeof result === "string" ? { ...item, ok: true, body: result } : { ...item, ok: false, failure: result };
  return rest === undefined ? outcome : Object.assign(outcome, rest);
}
