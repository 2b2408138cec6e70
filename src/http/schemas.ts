import * as v from "valibot";
import { type BudgetChange, faultOf, LONGEST_PERIOD_MS } from "../core/budget.ts";
import { LONGEST_KEY } from "../durable/needs.ts";
import type { ItemStatus, RunSummary } from "../durable/view.ts";

// What the API takes and gives: what requests are checked by, and what the OpenAPI document is made from.

export const LONGEST_WAIT_SEC = 60;
export const MOST_LISTED = 1_000;
const DEFAULT_LISTED = 100;

const ITEM_STATUSES = [
  "pending",
  "running",
  "deferred",
  "succeeded",
  "failed",
  "canceled",
] as const satisfies ItemStatus[];
const RUN_STATUSES = [
  "queued",
  "running",
  "waiting",
  "paused",
  "completed",
  "failed",
  "canceled",
] as const satisfies RunSummary["status"][];
const TRIGGERS = ["http", "cron", "webhook"] as const satisfies RunSummary["trigger"]["type"][];

// Queries. A message says what was expected; who reads a query adds the parameter's name and what came.

function numberFrom(least: number, most: number) {
  const expected = `to be a number from ${least} to ${most}`;
  return v.pipe(
    v.string(),
    v.regex(/\S/, expected),
    v.transform(Number),
    v.number(expected),
    v.minValue(least, expected),
    v.maxValue(most, expected),
  );
}

const oneOf = <const T extends readonly string[]>(values: T) => v.picklist(values, `to be one of ${values.join(", ")}`);
const time = v.pipe(
  v.string(),
  v.check(
    (text) => /^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(Date.parse(text)),
    "to be a time such as 2026-11-23T06:00:00Z",
  ),
);
const cursor = (pattern: RegExp) => v.pipe(v.string(), v.regex(pattern, "as an earlier answer gave it"));
const listed = v.optional(numberFrom(1, MOST_LISTED), String(DEFAULT_LISTED));

export const startQuery = v.object({ wait: v.optional(numberFrom(0, LONGEST_WAIT_SEC)) });

export const runQuery = v.object({
  flow: v.optional(v.string()),
  status: v.optional(oneOf(RUN_STATUSES)),
  trigger: v.optional(oneOf(TRIGGERS)),
  name: v.optional(v.string()),
  from: v.optional(time),
  to: v.optional(time),
  limit: listed,
  cursor: v.optional(cursor(/^\d{1,15}-[0-9A-Z]{30}$/)),
});

export const itemQuery = v.object({
  status: v.optional(oneOf(ITEM_STATUSES)),
  node: v.optional(v.string()),
  limit: listed,
  cursor: v.optional(cursor(/^\d{1,15}-\d{1,15}$/)),
});

export const resultQuery = v.object({ node: v.optional(v.string()) });

// Bodies.

function bound(key: keyof BudgetChange, most: number) {
  const message = ({ input }: { input: unknown }) => faultOf(key, input) as string;
  return v.optional(v.pipe(v.number(message), v.integer(message), v.minValue(1, message), v.maxValue(most, message)));
}

const keyMessage = `Expected \`key\` to be a string of up to ${LONGEST_KEY} characters`;
const BOUNDS = ["requests", "tokens", "periodMs", "concurrency"] as const;

/** A change of a limit. */
export const limitChange = v.pipe(
  v.object(
    {
      requests: bound("requests", Number.MAX_SAFE_INTEGER),
      tokens: bound("tokens", Number.MAX_SAFE_INTEGER),
      periodMs: bound("periodMs", LONGEST_PERIOD_MS),
      concurrency: bound("concurrency", Number.MAX_SAFE_INTEGER),
      key: v.optional(v.pipe(v.string(keyMessage), v.maxLength(LONGEST_KEY, keyMessage))),
    },
    'Expected a JSON object such as { "requests": 500 }',
  ),
  v.check(
    (change) => BOUNDS.some((each) => change[each] !== undefined),
    `Expected at least one of ${BOUNDS.join(", ")}, got none`,
  ),
);

/** The input of a flow that has no schema of its own. */
export const input = v.record(v.string(), v.unknown());

// Answers.

const isoTime = v.pipe(v.string(), v.isoTimestamp());
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const json = v.unknown();

export const health = v.object({ ok: v.literal(true), version: v.string() });

export const graph = {
  nodes: v.array(
    v.object({
      id: v.string(),
      name: v.string(),
      kind: v.string(),
      limit: v.optional(v.array(v.string())),
      start: v.optional(v.string()),
    }),
  ),
  edges: v.array(v.object({ from: v.string(), to: v.string(), action: v.string() })),
  mermaid: v.string(),
};

export const flowList = v.object({ flows: v.array(v.object({ name: v.string() })) });

export const flow = v.object({
  name: v.string(),
  ...graph,
  /** The JSON Schema of the input; null where the flow has none. */
  input: v.nullable(v.record(v.string(), json)),
});

const runError = v.object({
  name: v.string(),
  message: v.string(),
  status: v.optional(v.number()),
  node: v.nullable(v.string()),
  branch: v.nullable(v.string()),
  index: v.nullable(count),
  attempts: v.nullable(count),
});

const summary = {
  id: v.string(),
  flow: v.string(),
  version: v.nullable(v.string()),
  trigger: v.object({ type: v.picklist(TRIGGERS), name: v.nullable(v.string()) }),
  status: v.picklist(RUN_STATUSES),
  createdAt: isoTime,
  startedAt: v.nullable(isoTime),
  finishedAt: v.nullable(isoTime),
  resumesAt: v.nullable(isoTime),
  step: v.nullable(v.object({ node: v.string(), phase: v.string() })),
  items: v.object({
    total: count,
    pending: count,
    running: count,
    deferred: count,
    succeeded: count,
    failed: count,
    canceled: count,
  }),
  executions: count,
  executors: count,
  action: v.nullable(v.string()),
  error: v.nullable(runError),
  completionReason: v.nullable(
    v.picklist([
      "all-succeeded",
      "failures-tolerated",
      "item-failed",
      "tolerance-exceeded",
      "flow-failed",
      "deadline-exceeded",
      "canceled",
    ]),
  ),
  redriveCount: count,
};

const delivery = v.object({
  id: v.string(),
  type: v.string(),
  status: v.picklist(["pending", "delivered", "failed", "dropped"]),
  tries: count,
  triedAt: v.nullable(isoTime),
  nextAt: v.nullable(isoTime),
  httpStatus: v.nullable(count),
  error: v.nullable(v.string()),
});

export const run = v.object({
  ...summary,
  warnings: v.array(v.string()),
  redrives: v.array(
    v.object({ at: isoTime, status: v.string(), completionReason: v.nullable(v.string()), failed: count }),
  ),
  signals: v.array(v.object({ id: v.string(), name: v.string(), at: isoTime })),
  callback: v.nullable(v.object({ origin: v.string(), deliveries: v.array(delivery) })),
  output: json,
});

export const runList = v.object({ runs: v.array(v.object(summary)), cursor: v.nullable(v.string()) });

export const itemList = v.object({
  items: v.array(
    v.object({
      node: v.string(),
      branch: v.string(),
      step: count,
      index: count,
      status: v.picklist(ITEM_STATUSES),
      attempts: count,
      redrives: count,
      startedAt: v.nullable(isoTime),
      finishedAt: v.nullable(isoTime),
      result: v.optional(json),
      error: v.optional(v.object({ name: v.string(), message: v.string() })),
    }),
  ),
  cursor: v.nullable(v.string()),
});

const limitKey = v.object({
  key: v.string(),
  requests: v.nullable(count),
  tokens: v.nullable(count),
  periodMs: count,
  concurrency: v.nullable(count),
  used: v.object({ requests: v.number(), tokens: v.number() }),
  inFlight: count,
  waiting: count,
  cooldownUntil: v.nullable(isoTime),
});

export const limit = v.object({ name: v.string(), keys: v.array(limitKey) });

export const limitList = v.object({ limits: v.array(limit) });

export const cron = v.object({
  name: v.string(),
  cron: v.string(),
  flow: v.string(),
  overlap: v.picklist(["skip", "allow"]),
  nextAt: v.nullable(isoTime),
  /** For which it last started a run. */
  lastAt: v.nullable(isoTime),
  lastRun: v.nullable(v.string()),
  /** For which it last started none, because the run before went on. */
  skippedAt: v.nullable(isoTime),
});

export const cronList = v.object({ crons: v.array(cron), mismatches: v.array(v.string()) });

export const received = v.object({ run });

export const problem = v.object({
  type: v.string(),
  title: v.string(),
  status: count,
  detail: v.string(),
  errors: v.optional(v.array(v.object({ pointer: v.string(), detail: v.string() }))),
});
