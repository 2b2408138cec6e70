import { runDurableObjectAlarm } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { expect } from "vitest";
import { Graph } from "../../src/core/graph.ts";
import type { KeyView, LimitView, RateLimiterObject } from "../../src/durable/limiter.ts";
import type { Order, Reply } from "../../src/durable/protocol.ts";
import { HandRun } from "./executor.ts";
import { type LimitedTask, permitFlows } from "./limited-flows.ts";
import { stage } from "./stage.ts";
import { call, getRun, type Run, rows, start } from "./support.ts";

let keys = 0;

/** A key that nobody has used yet: under it every limit is unused. */
export function newKey(): string {
  return `tenant ${++keys}`;
}

export function limiterOf(limit: string, key: string): DurableObjectStub<RateLimiterObject> {
  const namespace = (exports as unknown as { RateLimiter: DurableObjectNamespace<RateLimiterObject> }).RateLimiter;
  return namespace.getByName(`${limit}/${key}`);
}

/** One key of a limit as clients get it. */
export async function limitOf(limit: string, key: string): Promise<KeyView> {
  const response = await call(`/limits/${limit}`);
  expect(response.status).toBe(200);
  const view = (await response.json()) as LimitView;
  const found = view.keys.find((known) => known.key === key);
  if (!found) throw new Error(`The limit ${limit} knows no key ${key}`);
  return found;
}

/** Waits until nobody has or wants a permit of a limit. */
export async function atRest(limit: string, key: string): Promise<KeyView> {
  await expect.poll(() => limitOf(limit, key)).toMatchObject({ inFlight: 0, waiting: 0 });
  return limitOf(limit, key);
}

/** What a limiter does when its time has come, without waiting for it. */
export async function ring(limit: string, key: string): Promise<void> {
  await runDurableObjectAlarm(limiterOf(limit, key));
}

/** Changes a limit for one key. */
export async function change(
  limit: string,
  key: string,
  bounds: { requests?: number; concurrency?: number },
): Promise<void> {
  const body = JSON.stringify({ key, ...bounds });
  const headers = { "content-type": "application/json" };
  expect((await call(`/limits/${limit}`, { method: "PATCH", headers, body })).status).toBe(200);
}

/** A run, at whose every look the counts add up. */
export async function look(id: string): Promise<Run> {
  const run = await getRun(id);
  const { total, ...counts } = run.items;
  expect(Object.values(counts).reduce((sum, count) => sum + count)).toBe(total);
  return run;
}

/** The run once so much is true of it. */
export async function seen(id: string, expected: object): Promise<Run> {
  await expect.poll(() => look(id)).toMatchObject(expected);
  return look(id);
}

/** How many calls of a key were in exec at once, at most, if no more than those said to be lost were. */
export function widest(key: string): number {
  let now = 0;
  let most = 0;
  for (const said of stage().said) {
    if (said === `start ${key}`) most = Math.max(most, ++now);
    if (said === `end ${key}` || said === `lost ${key}`) now--;
  }
  return most;
}

/** How many calls of a key are in exec. */
export function inExec(key: string): number {
  return stage().count(`start ${key}`) - stage().count(`end ${key}`) - stage().count(`lost ${key}`);
}

/** The numbers of a key's tasks in the order in which they began. */
export function begun(key: string): number[] {
  const words = `start ${key} `;
  return stage().said.flatMap((said) => (said.startsWith(words) ? [Number(said.slice(words.length))] : []));
}

export async function itemsOf(
  id: string,
): Promise<{ index: number; status: string; attempts: number; result: unknown }[]> {
  const { items } = await (await call(`/runs/${id}/items`)).json<{ items: never[] }>();
  return items;
}

export interface SlotView {
  id: number;
  state: string;
  home: string;
  wake: number;
  /** The items it has in exec. */
  held: number[];
}

export async function slotsOf(id: string): Promise<SlotView[]> {
  const sql = "select id, state, home, wake, held from slot order by id";
  const found = await rows<{ id: number; state: string; home: string; wake: number; held: string }>(id, sql);
  // A row still names what its slot has settled since it was written.
  const items = await itemsOf(id);
  const running = new Set(items.filter(({ status }) => status === "running").map(({ index }) => index));
  return found.map((slot) => ({ ...slot, held: heldIn(slot.held).filter((index) => running.has(index)) }));
}

function heldIn(text: string): number[] {
  const runs = JSON.parse(text) as [step: number, first: number, count: number][];
  return runs.flatMap(([, first, count]) => Array.from({ length: count }, (_, at) => first + at));
}

type ByHand = Extract<keyof typeof permitFlows, `by hand${string}`>;

/** A run under limits whose executor is the test itself. */
export class LimitedHandRun extends HandRun {
  readonly #shape: string;

  constructor(id: string, flow: ByHand) {
    super(id, "by hand");
    this.#shape = JSON.stringify(new Graph(permitFlows[flow]()).shape());
  }

  static async of(flow: ByHand, tasks: LimitedTask[]): Promise<LimitedHandRun> {
    return new LimitedHandRun((await start(flow, { tasks })).id, flow);
  }

  override enter(order: Order, entry: string, delivery = 1, shape = this.#shape): Promise<Reply | null> {
    return super.enter(order, entry, delivery, shape);
  }
}
