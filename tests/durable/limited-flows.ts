import type { LimitOptions } from "../../src/core/budget.ts";
import {
  BatchNode,
  type ExecContext,
  Flow,
  type LimitUse,
  Node,
  type NodeOptions,
  type NonIterableObject,
  ParallelBatchNode,
  RateLimitedError,
  RetryAfterError,
} from "../../src/index.ts";
import { stage } from "./stage.ts";

/** What a limited item is to do. */
export interface LimitedTask {
  n: number;
  /** Whose budget it uses. */
  key?: string;
  /** Whose budget of a second limit it uses. */
  second?: string;
  /** What its `tokens` function says. */
  tokens?: unknown;
  gate?: string;
  /** Ends when it is aborted, with an error, and not before. */
  listens?: true;
  /** What the first calls throw, one after the other. */
  throws?: Thrown[];
  /** What it settles, one after the other. */
  settles?: (number | keyof typeof SETTLED)[];
}

export type Thrown = keyof typeof THROWN;

/** A vendor's errors, as SDKs and nodes throw them. */
const THROWN = {
  busy: () => new Error("busy"),
  "429": () => Object.assign(new Error("too many"), { status: 429 }),
  "429 for an hour": () => new RateLimitedError({ retryAfterMs: 3_600_000 }),
  "429 with a header for an hour": () =>
    Object.assign(new Error("too many"), { status: 429, headers: new Headers({ "Retry-After": "3600" }) }),
  "out of credit": () => Object.assign(new Error("no money"), { status: 429, code: "insufficient_quota" }),
  "later, in an hour": () => new RetryAfterError("busy", { retryAfterMs: 3_600_000, status: 503 }),
} satisfies { [name: string]: () => Error };

/** What is no number of tokens, and what JSON cannot say. */
const SETTLED = {
  "not a number": Number.NaN,
  "without end": Number.POSITIVE_INFINITY,
  text: "120" as unknown as number,
};

export interface LimitedWork {
  tasks: LimitedTask[];
  results?: (number | string)[];
  posts?: number;
}

/** So many tasks that are alike but for their numbers. */
export function limitedTasks(count: number, more: Omit<LimitedTask, "n"> = {}, first = 0): LimitedTask[] {
  return Array.from({ length: count }, (_, at) => ({ n: first + at, ...more }));
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}

async function work({ n, key = "", gate, listens, throws = [], settles = [] }: LimitedTask, context: ExecContext) {
  const name = `${key} ${n}`;
  const calls = stage().count(`start ${name}`);
  stage().say(`start ${key}`);
  stage().say(`start ${name}`);
  for (const tokens of settles) context.settle(typeof tokens === "number" ? tokens : SETTLED[tokens]);
  if (gate !== undefined) await stage().pass(gate);
  if (listens) await untilAborted(context.signal);
  stage().say(`end ${key}`);
  stage().say(`end ${name}`);
  const thrown = throws[calls];
  if (thrown) throw THROWN[thrown]();
  return 10 * n;
}

function finish(shared: LimitedWork, results: (number | string)[]): void {
  shared.results = results;
  shared.posts = (shared.posts ?? 0) + 1;
}

class Limited extends ParallelBatchNode<LimitedWork, NonIterableObject, LimitedTask, number | string> {
  prep(shared: LimitedWork) {
    return shared.tasks;
  }
  exec(task: LimitedTask, context: ExecContext): Promise<number | string> {
    return work(task, context);
  }
  post(shared: LimitedWork, _: LimitedTask[], results: (number | string)[]) {
    finish(shared, results);
  }
}

/** Says when its fallback is called, and lets it answer. */
class Forgiving extends Limited {
  execFallback({ n }: LimitedTask): string {
    stage().say(`fallback ${n}`);
    return `fallback ${n}`;
  }
}

class LimitedInOrder extends BatchNode<LimitedWork, NonIterableObject, LimitedTask, number> {
  prep(shared: LimitedWork) {
    return shared.tasks;
  }
  exec(task: LimitedTask, context: ExecContext) {
    return work(task, context);
  }
  post(shared: LimitedWork, _: LimitedTask[], results: number[]) {
    finish(shared, results);
  }
}

class LimitedSingle extends Node<LimitedWork, NonIterableObject, LimitedTask, number> {
  prep(shared: LimitedWork) {
    return shared.tasks[0] as LimitedTask;
  }
  exec(task: LimitedTask, context: ExecContext) {
    return work(task, context);
  }
  post(shared: LimitedWork, _: LimitedTask, result: number) {
    finish(shared, [result]);
  }
}

function at(name: string): LimitUse<LimitedTask> {
  return { name, key: ({ key = "" }) => key };
}

function second(name: string): LimitUse<LimitedTask> {
  return { name, key: ({ second = "" }) => second };
}

const counted: LimitUse<LimitedTask> = { ...at("counted"), tokens: ({ tokens }) => tokens as number };
const foul: LimitUse<LimitedTask> = {
  name: "counted",
  key: ({ key }) => {
    if (key === "throw") throw new Error("no tenant");
    return key as string;
  },
  tokens: ({ tokens }) => {
    if (tokens === "throw") throw new Error("no tokenizer");
    return tokens as number;
  },
};

type Options = NodeOptions<LimitedTask>;
type Limit = NonNullable<Options["limit"]>;

const batch = (limit: Limit, options: Options = {}) => new Flow(new Limited({ ...options, limit }));
const forgiving = (limit: Limit, options: Options = {}) => new Flow(new Forgiving({ ...options, limit }));

/** Each test uses keys of its own, so that it finds every limit unused. */
export const permitLimits: { [name: string]: LimitOptions } = {
  lane: { concurrency: 1 },
  pair: { concurrency: 2 },
  trio: { concurrency: 3 },
  wide: { concurrency: 100 },
  plain: { concurrency: 2 },
  hourly: { requests: 3, per: "1h" },
  counted: { tokens: 1000, per: "1h" },
  hasty: { concurrency: 16, giveUpAfter: "1ms" },
};

/** Work that waits for permits, executed in every way. Nobody answers the calls of those whose name begins with "by hand". */
export const permitFlows = {
  "on lane": () => batch(at("lane")),
  "on pair": () => batch(at("pair")),
  "on trio": () => batch(at("trio")),
  "on wide": () => batch(at("wide")),
  "on wide, narrow": () => forgiving(at("wide"), { concurrency: 2 }),
  "on wide, forgiving": () => forgiving(at("wide"), { maxRetries: 3 }),
  "on wide, retried": () => batch(at("wide"), { maxRetries: 2 }),
  "on hasty": () => batch(at("hasty")),
  "on hasty, forgiving": () => forgiving(at("hasty")),
  "on hourly": () => batch(at("hourly")),
  "on hourly, narrow": () => batch(at("hourly"), { concurrency: 2 }),
  "on hourly by queue": () => batch(at("hourly"), { executor: "queue" }),
  "on pair by queue": () => batch(at("pair"), { executor: "queue" }),
  "on counted": () => batch(counted),
  "on counted, foul": () => batch(foul),
  "on lane and hourly": () => batch([at("lane"), second("hourly")]),
  "on hourly and lane": () => batch([second("hourly"), at("lane")]),
  "on nothing": () => new Flow(new Forgiving({})),
  "on nothing, retried": () => new Flow(new Limited({ maxRetries: 2 })),
  "on all of plain": () => batch("plain"),
  "in order on pair": () => new Flow(new LimitedInOrder({ limit: at("pair") })),
  "single on lane": () => new Flow(new LimitedSingle({ limit: at("lane") })),
  "by hand on lane": () => batch(at("lane"), { name: "AtOnce" }),
  "by hand on pair": () => batch(at("pair"), { name: "AtOnce", maxRetries: 3 }),
  "by hand on pair, narrow": () => batch(at("pair"), { name: "AtOnce", concurrency: 2 }),
  "by hand on trio": () => batch(at("trio"), { name: "AtOnce" }),
  "by hand on lane and wide": () => batch([at("lane"), second("wide")], { name: "AtOnce" }),
};
