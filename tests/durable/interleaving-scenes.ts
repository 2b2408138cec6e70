import fc from "fast-check";
import { expect } from "vitest";
import type { ItemView } from "../../src/durable/view.ts";
import { keyedRunId } from "../../src/http/ids.ts";
import {
  CONCURRENCY,
  type Interleaved,
  type Jobs,
  type Kill,
  MOST_ATTEMPTS,
  type Moment,
  Play,
  wrongSum,
} from "./interleaving.ts";
import { callsOf, expected, type Plan } from "./interleaving-plans.ts";
import { call, crash, executorOf, post, type Run, resultLines, runOf } from "./support.ts";

// A failure prints its seed and which run it was. To repeat its plan, as nearly as two cores allow, say them here.
const AGAIN: { seed?: number; run?: number } = {};

const seed = AGAIN.seed ?? Math.floor(Math.random() * 2 ** 31);
export const RUNS = import.meta.env.VITE_SOAK ? 100 : 40;
const MOST_RUNS = 5 * RUNS;
const AT_ONCE = 50;
/** So many items at most does the end of one executor repeat. */
const PER_EXECUTOR = 6;
export const DEADLINE_MS = 300;
/** A deadline is met by a timer, and after a crash by the alarm. Each time that fails the platform waits longer to ring again. */
export const LATE_MS = 20_000;
/** Where nothing was killed about then it is met at once: sooner than a heartbeat would find it. */
export const PROMPT_MS = 3_000;
export const SILENCE_MS = 40;
const LONGEST_MS = 60_000;
/** An executor that hears nothing else reports so often, and then hears that the run is over. */
const LONGEST_STAY_MS = 8_000;

/** Tests that wait look again and again, all of them in one loop. */
const waiting = new Map<() => boolean, () => void>();

export function until(holds: () => boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  waiting.set(holds, resolve);
  if (waiting.size === 1) void lookAround();
  return promise;
}

async function lookAround(): Promise<void> {
  for (; waiting.size > 0; await scheduler.wait(1)) {
    for (const [holds, resolve] of waiting) if (holds() && waiting.delete(holds)) resolve();
  }
}

/** A client of a run: what it was told once stays so. */
class Client {
  readonly id: string;
  #latest: Run | undefined;
  readonly #items = new Map<string, ItemView>();
  /** A run in which nothing begins, as it was told, until it is asked to go on. */
  still: Run | undefined;

  constructor(id: string) {
    this.id = id;
  }

  get isTold(): boolean {
    return this.#latest !== undefined;
  }

  async look(): Promise<{ run: Run; items: ItemView[] }> {
    const [known, still] = [this.#latest, this.still];
    const run = (await (await call(`/runs/${this.id}`)).json()) as Run;
    this.hear(run, known);
    if (still && still === this.still) expect(begunOf(run)).toEqual(begunOf(still));
    const before = new Map(this.#items);
    const { items } = (await (await call(`/runs/${this.id}/items?limit=100`)).json()) as { items: ItemView[] };
    for (const item of items) this.#hearItem(item, before.get(`${item.step}/${item.index}`));
    return { run, items };
  }

  hear(run: Run, known = this.#latest): Run {
    expect(wrongSum(run)).toBeUndefined();
    if (known) expectAfter(run, known);
    if (!this.#latest || progressOf(run) >= progressOf(this.#latest)) this.#latest = run;
    return run;
  }

  #hearItem(item: ItemView, known: ItemView | undefined): void {
    expect(item.attempts).toBeLessThanOrEqual(MOST_ATTEMPTS);
    if (known?.status === "succeeded" || known?.status === "failed") expect(item).toEqual(known);
    if (known?.status === "canceled") expect(["canceled", "succeeded"]).toContain(item.status);
    expect(item.attempts).toBeGreaterThanOrEqual(known?.attempts ?? 0);
    this.#items.set(`${item.step}/${item.index}`, item);
  }

  async ask(what: "cancel" | "pause" | "resume"): Promise<{ status: number; run: Run }> {
    const response = await post(`/runs/${this.id}/${what}`);
    const run = (await response.json()) as Run;
    if (response.status === 202) this.hear(run);
    else expect(response.status).toBe(409);
    return { status: response.status, run };
  }
}

function begunOf({ status, executions, items: { total } }: Run): object {
  return { status, executions, total };
}

function progressOf({ executions, items: { total, succeeded, failed }, finishedAt }: Run): number {
  return total + executions + succeeded + failed + (finishedAt === null ? 0 : 1000);
}

/** A run after what it was known to be: nothing goes back. A finished one stays as it is, but for late successes. */
function expectAfter(run: Run, known: Run): void {
  const counts = ({ executions, items: { total, succeeded, failed } }: Run) => ({
    executions,
    total,
    succeeded,
    failed,
  });
  for (const [key, count] of Object.entries(counts(run))) {
    expect(count, key).toBeGreaterThanOrEqual(counts(known)[key as "total"]);
  }
  if (known.finishedAt === null) return;
  const rest = ({ items, ...run }: Run) => ({ ...run, total: items.total });
  expect(rest(run)).toEqual(rest(known));
}

export interface Scene<P extends Plan = Plan> {
  plan: P;
  play: Play;
  client: Client;
  /** Ends what is done beside the run. */
  end(): Promise<void>;
}

export async function begin<P extends Plan>(flow: Interleaved, plan: P): Promise<Scene<P>> {
  const key = crypto.randomUUID();
  const id = await keyedRunId(flow, key);
  const play = new Play(id, plan.kills, CONCURRENCY[flow]);
  play.hold = plan.hold;
  const client = new Client(id);
  const disturbing = disturb(play, client, [...plan.looks]);
  const input = { id, jobs: plan.jobs, log: [] };
  const response = await post(`/flows/${encodeURIComponent(flow)}/runs`, input, { "idempotency-key": key });
  expect(response.status).toBe(202);
  client.hear((await response.json()) as Run);
  const end = () => {
    play.isOver = true;
    return disturbing;
  };
  return { plan, play, client, end };
}

/** Kills and looks when their moments have come. */
async function disturb(play: Play, client: Client, looks: Moment[]): Promise<void> {
  const underWay: Promise<unknown>[] = [];
  while (!play.isOver) {
    const kill = play.takeKill("run", "executor");
    if (kill) underWay.push(strike(play, kill));
    const look = client.isTold ? looks.findIndex((moment) => play.hasCome(moment)) : -1;
    if (look >= 0) {
      looks.splice(look, 1);
      underWay.push(client.look().catch((error) => play.wrong(String(error))));
    }
    if (!kill && look < 0) await until(isDueAfter(play));
  }
  await Promise.all(underWay);
}

/** Something has happened since. */
function isDueAfter(play: Play): () => boolean {
  const { lastMs, actions } = play;
  const before = sumOf(play);
  return () => play.isOver || sumOf(play) !== before || play.lastMs !== lastMs || play.actions !== actions;
}

function sumOf({ counts, holding }: Play): number {
  return Object.values(counts).reduce((sum, count) => sum + count, holding.length / 100);
}

async function strike({ id, holding }: Play, { how }: Kill): Promise<void> {
  if (how === "executor") await crash(executorOf(id, holding[0] as number));
  else await crash(runOf(id));
}

/** Nothing has happened for a while. Only then can be seen that nothing does. */
export async function silent(play: Play): Promise<void> {
  await until(() => Date.now() - play.lastMs > SILENCE_MS);
}

/** After its last kill a run is as it was, and as it must be at its end. */
export async function expectEnd({ plan, play, client, end }: Scene): Promise<{ run: Run; items: ItemView[] }> {
  await client.look();
  await crash(runOf(client.id));
  const { run, items } = await client.look();
  await end();
  expect(play.wrongs).toEqual([]);
  expect(run.finishedAt).not.toBeNull();
  expect(items).toHaveLength(run.items.total);
  for (const status of ["succeeded", "failed", "canceled"] as const) {
    expect(items.filter((item) => item.status === status)).toHaveLength(run.items[status]);
  }
  for (const { node, index, result } of items as { node: string; index: number; result?: unknown }[]) {
    if (node === "Many" && result !== undefined) expect(result).toMatchObject({ value: 10 * index });
  }
  if (run.status === "completed") await expectCompleted(plan, play, run, items);
  return { run, items };
}

/** Everything was done, once, and is right. */
async function expectCompleted({ jobs }: Plan, play: Play, run: Run, items: ItemView[]): Promise<void> {
  const output = run.output as Jobs;
  const results = output.results ?? [];
  expect(results.map((result) => (typeof result === "string" ? result : result.value))).toEqual(jobs.map(expected));
  expect(output.log).toEqual(["many", "last"]);
  const sum = results.reduce((sum, result) => sum + (typeof result === "string" ? 0 : result.value), 0);
  expect(output.sums).toEqual([sum]);
  const own = items.filter(({ node }) => node === "Many");
  expect(own.map(({ result, error }) => result ?? error?.name)).toEqual(results);
  expect(own.map(({ attempts }) => attempts)).toEqual(jobs.map((job) => callsOf([job])));
  const lines = (await resultLines(run.id, "?node=Many")).map((line) => JSON.parse(line));
  expect(lines.map(({ index }) => index)).toEqual(jobs.map(({ n }) => n));
  expect(lines.map(({ result, error }) => result ?? error.name)).toEqual(results);
  const repeated = run.executions - callsOf(jobs) - 1;
  const runKills = play.struck.length + 1 - play.struckBy("executor");
  expect(repeated).toBeGreaterThanOrEqual(0);
  expect(repeated).toBeLessThanOrEqual(PER_EXECUTOR * play.struckBy("executor") + runKills);
}

/** Whatever stayed in exec has been aborted, unless its executor was killed. */
export async function expectNobodyStays(play: Play): Promise<void> {
  const sinceMs = Date.now();
  const isAlive = ({ isOver, seenMs }: Play["staying"][0]) => !isOver && Date.now() - seenMs < 500;
  await until(() => !play.staying.some(isAlive) || Date.now() - sinceMs > LONGEST_STAY_MS);
  expect(play.staying.filter(isAlive)).toEqual([]);
}

async function soon<T>(running: Promise<T>): Promise<T> {
  const late = scheduler.wait(LONGEST_MS).then(() => {
    throw new Error("It does not end");
  });
  return Promise.race([running, late]);
}

/** How many plays are to end in which way: what a test does not meet it does not show. */
export interface Wanted {
  [ending: string]: number;
}

/**
 * Plays `RUNS` plans, each another one, and tells how many ended in which way and what was killed.
 * How a play ends depends on the machine too: while too few have ended as `wanted`, further plans are played.
 */
export async function playAll<P extends Plan>(
  plans: fc.Arbitrary<P>,
  wanted: Wanted,
  one: (plan: P) => Promise<{ play: Play; ending: string }>,
  atOnce = AT_ONCE,
): Promise<void> {
  const all = fc.sample(plans, { seed, numRuns: MOST_RUNS });
  const endings: Wanted = {};
  const count = (what: string) => {
    endings[what] = (endings[what] ?? 0) + 1;
  };
  const isShort = () => Object.entries(wanted).some(([ending, least]) => (endings[ending] ?? 0) < least);
  let next = AGAIN.run ?? 0;
  const isEnough = () => (AGAIN.run === undefined ? next >= RUNS && !isShort() : next > AGAIN.run);
  const goOn = async () => {
    while (!isEnough() && next < MOST_RUNS) {
      const at = next++;
      const plan = all[at] as P;
      try {
        const { play, ending } = await soon(one(plan));
        count(ending);
        for (const { how } of play.struck) count(`killed: ${how}`);
        if (play.struck.length > 0) count("disturbed");
      } catch (error) {
        next = MOST_RUNS;
        const message = `Run ${at} of seed ${seed}: ${(error as Error).message}\n${JSON.stringify(plan)}`;
        throw new Error(message, { cause: error });
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, goOn));
  console.log(`seed ${seed}: ${JSON.stringify(endings)}`);
  if (AGAIN.run === undefined && isShort()) expect(endings).toEqual(expect.objectContaining(wanted));
}

export const isFinished = (play: Play) => () => (play.latest?.finishedAt ?? null) !== null;
