import { runInDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { vi } from "vitest";
import { type Answer, idsOf, type Request } from "../../src/core/limiter.ts";
import type { KeyView, RateLimiterObject } from "../../src/durable/limiter.ts";
import type { Place } from "../../src/durable/limiter-store.ts";
import { objectNameOf } from "../../src/durable/limits.ts";
import { FlowRunObject } from "../../src/durable/run.ts";

type Namespace = DurableObjectNamespace<RateLimiterObject>;

/** The object that counts for one key of a limit; without a key the limit's own, which knows its keys. */
export function limiterOf(limit: string, key?: string): DurableObjectStub<RateLimiterObject> {
  const { RateLimiter } = exports as unknown as { RateLimiter: Namespace };
  return RateLimiter.getByName(key === undefined ? limit : objectNameOf(limit, key));
}

/** What a run says that has just begun and wants nothing, but for `more`. */
export function request(run: string, more: Partial<Request> = {}): Request {
  return { run, life: 1, number: 1, heard: 0, holds: [], begun: [], ended: [], refunds: [], wants: [], ...more };
}

/** How calls end that succeed at once and use what was reserved for them. */
export function endings(...ids: number[]): Request["ended"] {
  return ids.map((id) => ({ id, ageMs: 0, tokens: null, as: "succeeded", retryAfterMs: null }));
}

/** One key of a limit, as the runs that use it see it. */
export class Desk {
  readonly place: Place;

  constructor(limit: string, key: string) {
    this.place = { limit, key };
  }

  isAt({ limit, key }: Place): boolean {
    return limit === this.place.limit && key === this.place.key;
  }

  get stub(): DurableObjectStub<RateLimiterObject> {
    return limiterOf(this.place.limit, this.place.key);
  }

  async exchange(request: Request): Promise<Answer | null> {
    // The types of stubs know arrays, but no tuples.
    return (await this.stub.exchange(this.place, request)) as Answer | null;
  }

  /** A run's word, and the numbers of the permits that it has then and may not have heard of. */
  async permits(run: string, more: Partial<Request> = {}): Promise<number[]> {
    const answer = await this.exchange(request(run, more));
    if (!answer) throw new Error(`Nothing was answered to ${run}`);
    return idsOf(answer.granted);
  }

  async view(): Promise<KeyView> {
    return this.stub.view(this.place);
  }

  alarm(): Promise<number | null> {
    return runInDurableObject(this.stub, (_, { storage }) => storage.getAlarm());
  }

  tables(): Promise<{ [table: string]: number }> {
    return tablesOf(this.stub);
  }
}

/** An object's tables and how many rows they have. */
export function tablesOf(stub: DurableObjectStub): Promise<{ [table: string]: number }> {
  return runInDurableObject(stub, (_, { storage: { sql } }) => {
    const tables = sql.exec<{ name: string }>(
      "select name from sqlite_master where type = 'table' and name not like '\\_cf%' escape '\\'",
    );
    const sizes = tables.toArray().map(({ name }) => [name, sql.exec(`select 1 from ${name}`).toArray().length]);
    return Object.fromEntries(sizes);
  });
}

/** How many rows an object writes for each of these requests, its alarm included. */
export function rowsWritten(desk: Desk, requests: Request[]): Promise<number[]> {
  return runInDurableObject(desk.stub, async (limiter, { storage }) => {
    const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
    const exec = storage.sql.exec.bind(storage.sql);
    storage.sql.exec = (query, ...bindings) => {
      const cursor = exec(query, ...bindings);
      cursors.push(cursor);
      return cursor as never;
    };
    const alarms = vi.spyOn(storage, "setAlarm");
    const counts: number[] = [];
    for (const request of requests) {
      await limiter.exchange(desk.place, request);
      counts.push(cursors.reduce((sum, cursor) => sum + cursor.rowsWritten, alarms.mock.calls.length));
      cursors.length = 0;
      alarms.mockClear();
    }
    Reflect.deleteProperty(storage.sql, "exec");
    alarms.mockRestore();
    return counts;
  });
}

/** Runs that a test plays, by name: what limiters tell them is kept here. Calls to others reach the run as ever. */
export class Cast {
  readonly #told: { run: string; place: Place; answer: Answer }[] = [];
  readonly #isPlayed: (run: string) => boolean;
  /** Whose next word loses the run that it is told to. */
  loses: Desk | undefined;

  constructor(isPlayed: (run: string) => boolean) {
    this.#isPlayed = isPlayed;
    const cast = this;
    const { hear } = FlowRunObject.prototype;
    vi.spyOn(FlowRunObject.prototype, "hear").mockImplementation(function (this: FlowRunObject, place, answer) {
      const { ctx } = this as unknown as { ctx: DurableObjectState };
      const run = ctx.id.name ?? "";
      if (!cast.#isPlayed(run)) return hear.call(this, place, answer);
      cast.#told.push({ run, place, answer });
      if (!cast.loses?.isAt(place)) return true;
      cast.loses = undefined;
      return ctx.abort("Instance disposed by a test") as never;
    });
  }

  /** What a limiter has told a run by itself. Those of other tests may still talk to runs of the same names. */
  toldTo(run: string, desk: Desk): Answer[] {
    return this.#told.filter((told) => told.run === run && desk.isAt(told.place)).map(({ answer }) => answer);
  }
}

/** A clock that stands still until a test moves it. */
export class StoppedClock {
  nowMs = Date.now();

  constructor() {
    vi.spyOn(Date, "now").mockImplementation(() => this.nowMs);
  }

  forward(ms: number): void {
    this.nowMs += ms;
  }
}
