import * as v from "valibot";
import { type BudgetChange, faultOf, LONGEST_KEY, LONGEST_PERIOD_MS } from "../core/budget.ts";
import { ITEM_STATUSES, RUN_STATUSES, TRIGGERS } from "../durable/statuses.ts";

// What the API takes and gives: what requests are checked by, and what the OpenAPI document is made from.

export const LONGEST_WAIT_SEC = 60;
export const MOST_LISTED = 1_000;
const DEFAULT_LISTED = 100;

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
  error: v.optional(v.string()),
  text: v.optional(v.string()),
  limit: listed,
  cursor: v.optional(cursor(/^\d{1,15}-\d{1,15}$/)),
});

const NODE_ID = "to be the id of a node";
/** A key that is missing has the message of its object. */
export const gridQuery = v.object({ node: v.string(NODE_ID) }, NODE_ID);

export const stepQuery = v.object({ limit: listed, cursor: v.optional(cursor(/^\d{1,15}$/)) });

export const logQuery = v.object({ after: v.optional(numberFrom(0, Number.MAX_SAFE_INTEGER), "0") });

export const resultQuery = v.object({
  node: v.optional(v.string()),
  format: v.optional(oneOf(["ndjson", "csv"]), "ndjson"),
});

// Bodies.

function bound(key: keyof BudgetChange, most: number) {
  const message = ({ input }: { input: unknown }) => faultOf(key, input) as string;
  return v.optional(v.pipe(v.number(message), v.integer(message), v.minValue(1, message), v.maxValue(most, message)));
}

const keyMessage = `Expected \`key\` to be a string of up to ${LONGEST_KEY} characters`;
const BOUNDS = ["requests", "tokens", "periodMs", "concurrency"] as const;

const MOST_CHOSEN = 1_000;
const placeMessage = 'Expected an item such as { "step": 1, "index": 0 }';
const chosenMessage = `Expected \`items\` to be a list of 1 to ${MOST_CHOSEN} items such as [{ "step": 1, "index": 0 }]`;
const place = v.pipe(v.number(placeMessage), v.safeInteger(placeMessage), v.minValue(0, placeMessage));

/** Which failed items a redrive is to execute; all where none are named. */
export const redrive = v.pipe(
  v.object(
    {
      items: v.optional(
        v.pipe(
          v.array(v.strictObject({ step: place, index: place }, placeMessage), chosenMessage),
          v.minLength(1, chosenMessage),
          v.maxLength(MOST_CHOSEN, chosenMessage),
        ),
      ),
    },
    'Expected a JSON object such as { "items": [{ "step": 1, "index": 0 }] }, or no body',
  ),
);

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

const itemCounts = v.object({
  total: count,
  pending: count,
  running: count,
  deferred: count,
  succeeded: count,
  failed: count,
  canceled: count,
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
  items: itemCounts,
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

const outline = {
  ...summary,
  tokens: count,
  warnings: v.array(v.string()),
  redrives: v.array(
    v.object({ at: isoTime, status: v.string(), completionReason: v.nullable(v.string()), failed: count }),
  ),
  waitsFor: v.array(
    v.object({
      node: v.string(),
      branch: v.string(),
      step: v.number(),
      signal: v.nullable(v.string()),
      until: v.nullable(isoTime),
    }),
  ),
  signals: v.array(v.object({ id: v.string(), name: v.string(), at: isoTime })),
  callback: v.nullable(v.object({ origin: v.string(), deliveries: v.array(delivery) })),
};

export const run = v.object({ ...outline, output: json });

export const runList = v.object({ runs: v.array(v.object(summary)), cursor: v.nullable(v.string()) });

const failure = v.object({ name: v.string(), message: v.string() });

const item = {
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
  error: v.optional(failure),
};

export const itemList = v.object({ items: v.array(v.object(item)), cursor: v.nullable(v.string()) });

const failureWithStack = v.object({ ...failure.entries, stack: v.optional(v.string()) });

/** One call of exec that did not bring a result, or whose executor was lost. */
const itemTry = v.object({
  startedAt: v.nullable(isoTime),
  finishedAt: isoTime,
  outcome: v.picklist(["failed", "lost"]),
  error: v.nullable(failureWithStack),
});

export const itemDetail = v.object({
  ...item,
  error: v.optional(failureWithStack),
  /** When a deferred item is due; null where that is not known. */
  nextAt: v.nullable(isoTime),
  input: json,
  /** Those that failed, in order. Of very many only the latest. */
  tries: v.array(itemTry),
});

/** How far one node is, over all its steps. */
export const nodeProgress = v.object({
  node: v.string(),
  /** How often the flow has come to it. */
  steps: count,
  /** How many of these steps are under way. */
  open: count,
  items: itemCounts,
  /** How many of its items may be in exec at once. */
  concurrency: count,
  /** The names of its limits. */
  limits: v.array(v.string()),
});

export const nodeList = v.object({ nodes: v.array(nodeProgress) });

const STEP_PHASES = ["prep", "exec", "post", "done", "stopped"] as const;

export const stepList = v.object({
  steps: v.array(
    v.object({
      id: count,
      node: v.string(),
      branch: v.string(),
      phase: v.picklist(STEP_PHASES),
      total: count,
      succeeded: count,
      failed: count,
      startedAt: v.nullable(isoTime),
      finishedAt: v.nullable(isoTime),
    }),
  ),
  cursor: v.nullable(v.string()),
});

/** The statuses of all items of a node: of each step a letter for each item, the first of its status. */
export const grid = v.object({
  node: v.string(),
  steps: v.array(v.tuple([count, v.pipe(v.string(), v.regex(/^[prdsfc]*$/))])),
});

/** Failed items with the same kind of error: their messages differ in numbers and names alone. */
export const errorList = v.object({
  errors: v.array(
    v.object({
      /** Names it: `GET /runs/:id/items?error=`. */
      id: v.string(),
      name: v.string(),
      message: v.string(),
      count,
      nodes: v.array(v.string()),
      /** The first item that failed so. */
      first: v.object({ step: count, index: count }),
    }),
  ),
  /** How many kinds there are beside the largest that are listed. */
  more: count,
});

const logEvent = v.variant("type", [
  v.object({
    id: count,
    at: isoTime,
    type: v.literal("emit"),
    step: count,
    node: v.string(),
    branch: v.string(),
    index: v.nullable(count),
    data: json,
  }),
  v.object({
    id: count,
    at: isoTime,
    type: v.literal("item-failed"),
    step: count,
    node: v.string(),
    branch: v.string(),
    index: count,
    attempts: count,
    error: failure,
  }),
]);

/** The latest events of a run; `last` is the number of the last of them, and 0 where there is none. */
export const log = v.object({ events: v.array(logEvent), last: count });

const backlog = v.nullable(v.object({ count, bytes: count, oldestAt: v.nullable(isoTime) }));

/** What is on the queue of executors and not acknowledged yet, and on its dead letter queue; null where there is none. */
export const queue = v.object({ backlog, dead: backlog });

export const webhookList = v.object({ webhooks: v.array(v.object({ name: v.string(), flow: v.string() })) });

/** What a WebSocket at `/runs/:id/live` tells: at first all, then what has changed. */
export const liveNews = v.object({
  /** The run without its output. */
  run: v.optional(v.partial(v.object(outline))),
  nodes: v.optional(v.array(nodeProgress)),
  /** The items that have another status now. */
  moved: v.optional(v.array(v.object({ step: count, status: v.picklist(ITEM_STATUSES), indexes: v.array(count) }))),
  /** Too many have another status to name them: the grid has to be read again. */
  isStale: v.optional(v.literal(true)),
  /** What has happened since, in order. */
  events: v.optional(v.array(logEvent)),
  /** The run was deleted. */
  deleted: v.optional(v.literal(true)),
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
