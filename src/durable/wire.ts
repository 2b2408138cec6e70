import type { Failure } from "../core/errors.ts";
import type { Outcome } from "./items.ts";
import type { ClaimedItem, Reply, Report, RunPort } from "./protocol.ts";
import type { Entry } from "./slots.ts";

// The same two calls as they cross from object to object: items and outcomes as tuples. The platform writes the name of every
// property of every object it sends, which for small items costs more than executing them.

type ItemTuple = [step: number, index: number, attempts: number, isLast: boolean, item: string];
/** A result is text and a failure is not, so one place serves both; then, where there are any, the fields that exec set. */
type OutcomeTuple = [step: number, index: number, attempts: number, result: string | Failure, fields?: string];

export interface WireReply extends Omit<Reply, "items"> {
  items: ItemTuple[];
}

export interface WireReport extends Omit<Report, "outcomes"> {
  outcomes: OutcomeTuple[];
}

/** What a run's object answers to. */
export interface WirePort {
  enter(entry: Entry, shape: string): Promise<WireReply | null>;
  report(report: WireReport): Promise<WireReply>;
}

/** The calls of an executor over a way to the run's object. */
export function overWire(port: WirePort): RunPort {
  return {
    enter: async (entry, shape) => {
      const reply = await port.enter(entry, shape);
      return reply && { ...reply, items: reply.items.map(readItem) };
    },
    report: async (report) => {
      const reply = await port.report({ ...report, outcomes: report.outcomes.map(writeOutcome) });
      return { ...reply, items: reply.items.map(readItem) };
    },
  };
}

export function writeReply(reply: Reply): WireReply {
  return { ...reply, items: reply.items.map(writeItem) };
}

export function readReport(report: WireReport): Report {
  return { ...report, outcomes: report.outcomes.map(readOutcome) };
}

function writeItem({ step, index, attempts, isLast, item }: ClaimedItem): ItemTuple {
  return [step, index, attempts, isLast, item];
}

function readItem([step, index, attempts, isLast, item]: ItemTuple): ClaimedItem {
  return { step, index, attempts, isLast, item };
}

function writeOutcome(outcome: Outcome): OutcomeTuple {
  const { step, index, attempts, fields } = outcome;
  const result = outcome.ok ? outcome.body : outcome.failure;
  return fields === undefined ? [step, index, attempts, result] : [step, index, attempts, result, fields];
}

function readOutcome([step, index, attempts, result, fields]: OutcomeTuple): Outcome {
  const item = { step, index, attempts, ...(fields === undefined ? {} : { fields }) };
  return typeof result === "string" ? { ...item, ok: true, body: result } : { ...item, ok: false, failure: result };
}
