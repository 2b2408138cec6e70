import { runInDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import fc from "fast-check";
import type { CronState, IndexEntry, IndexPage, IndexPlace, IndexQuery } from "../../src/durable/index-entry.ts";
import { IndexStore } from "../../src/durable/index-store.ts";
import { RunIndexObject } from "../../src/durable/run-index.ts";

let named = 0;

/** The name of an index of its own for who asks. */
export function newName(): string {
  return `index ${named++}`;
}

export function indexOf(name: string): DurableObjectStub<RunIndexObject> {
  const { RunIndex } = exports as unknown as { RunIndex: DurableObjectNamespace<RunIndexObject> };
  return RunIndex.getByName(name);
}

/** Gives `use` the object itself: a call costs nothing then. */
export function inIndex<T>(
  use: (index: RunIndexObject, storage: DurableObjectStorage) => T | Promise<T>,
  name = newName(),
): Promise<T> {
  return runInDurableObject(indexOf(name), (index, { storage }) => {
    if (!(index instanceof RunIndexObject)) throw new Error("Expected an index");
    return use(index, storage);
  });
}

export interface Rows {
  read: number;
  written: number;
}

/** A store over the same rows, and what it read and wrote since this was last asked. */
export function metered(storage: DurableObjectStorage): { store: IndexStore; rows: () => Rows } {
  let cursors: SqlStorageCursor<never>[] = [];
  const sql = {
    exec: (query: string, ...bindings: unknown[]) => {
      const cursor = storage.sql.exec<never>(query, ...bindings);
      cursors.push(cursor);
      return cursor;
    },
  };
  const transactionSync = <T>(write: () => T): T => storage.transactionSync(write);
  const rows = () => {
    const read = cursors.reduce((sum, { rowsRead }) => sum + rowsRead, 0);
    const written = cursors.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0);
    cursors = [];
    return { read, written };
  };
  return { store: new IndexStore({ sql, transactionSync } as unknown as DurableObjectStorage), rows };
}

/** A run, whose body says which one it is and what it has come to. */
export function entry(id: string, more: Partial<IndexEntry> & { note?: string } = {}): IndexEntry {
  const { note = "", id: _, body: __, ...rest } = more;
  const told = {
    id,
    flow: "work",
    status: "running",
    trigger: { type: "http" as const, name: null },
    createdMs: 1000,
    revision: 1,
    wakeMs: null,
    ...rest,
  };
  return { ...told, body: JSON.stringify({ ...told, note }) };
}

export function query(more: Partial<IndexQuery> = {}): IndexQuery {
  const all = { flow: null, status: null, trigger: null, triggerName: null, fromMs: null, toMs: null };
  return { ...all, limit: 100, after: null, ...more };
}

export function placeIn(body: string): IndexPlace {
  const { createdMs, id } = JSON.parse(body);
  return { createdMs, id };
}

export function idsIn({ runs }: IndexPage): string[] {
  return runs.map((body) => placeIn(body).id);
}

/** All pages of a query, one after the other. */
export function walk(
  list: (query: IndexQuery) => IndexPage,
  asked: IndexQuery,
  between: (page: IndexPage) => void = () => undefined,
): IndexPage[] {
  const pages = [list(asked)];
  for (;;) {
    const page = pages.at(-1) as IndexPage;
    if (!page.next) return pages;
    if (pages.length > 100) throw new Error("The pages do not end");
    between(page);
    pages.push(list({ ...asked, after: page.next }));
  }
}

/** What an index must answer, said as plainly as can be. */
export class Model {
  readonly entries = new Map<string, IndexEntry>();

  put(entry: IndexEntry): void {
    const known = this.entries.get(entry.id);
    if (known && entry.createdMs < known.createdMs) return;
    if (known && entry.createdMs === known.createdMs && entry.revision < known.revision) return;
    this.entries.set(entry.id, entry);
  }

  remove(id: string, createdMs: number): void {
    const known = this.entries.get(id);
    if (known && known.createdMs <= createdMs) this.entries.delete(id);
  }

  /** Every run that a query finds, on however many pages. */
  all(asked: IndexQuery): IndexEntry[] {
    const is = <T>(wanted: T | null, has: T | null) => wanted === null || wanted === has;
    return [...this.entries.values()]
      .filter(({ flow, status }) => is(asked.flow, flow) && is(asked.status, status))
      .filter(({ trigger }) => is(asked.trigger, trigger.type) && is(asked.triggerName, trigger.name))
      .filter(({ createdMs }) => asked.fromMs === null || createdMs >= asked.fromMs)
      .filter(({ createdMs }) => asked.toMs === null || createdMs < asked.toMs)
      .filter((entry) => asked.after === null || byPlace(asked.after, entry) < 0)
      .sort(byPlace);
  }

  overdue(beforeMs: number): IndexPlace[] {
    return [...this.entries.values()]
      .filter(({ wakeMs }) => wakeMs !== null && wakeMs < beforeMs)
      .sort((a, b) => Number(a.wakeMs) - Number(b.wakeMs) || compare(a.id, b.id))
      .map(({ createdMs, id }) => ({ createdMs, id }));
  }
}

/** The order of a list. */
export function byPlace(a: IndexPlace, b: IndexPlace): number {
  return b.createdMs - a.createdMs || compare(b.id, a.id);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

// Few values of each, so that they meet: runs created at the same time, ids used again, filters that find some, all and none.

const anyId = fc.constantFrom("a", "b", "bb", "c", "d", "e'", "f", "B", "é");
const anyTime = fc.constantFrom(1, 2, 3, 4);
const anyTrigger = fc.record({
  type: fc.constantFrom("http" as const, "cron" as const, "webhook" as const),
  name: fc.constantFrom(null, "nightly", "github"),
});
/** Around the edges of what is looked at in one go. */
export const anyWake = fc.oneof(fc.integer({ min: 0, max: 1_000_000 }), fc.constantFrom(299_999, 300_000, 600_000));

export const anyEntry = fc
  .record({
    id: anyId,
    flow: fc.constantFrom("work", "Work", ""),
    status: fc.constantFrom("queued", "running", "completed"),
    trigger: anyTrigger,
    createdMs: anyTime,
    revision: fc.integer({ min: 1, max: 4 }),
    wakeMs: fc.option(anyWake),
    note: fc.constantFrom("", "one", "two"),
  })
  .map(({ id, ...more }) => entry(id, more));

export const anyPut = fc.record({ put: anyEntry });
export const anyChange = fc.oneof(
  { weight: 4, arbitrary: anyPut },
  { weight: 1, arbitrary: fc.record({ remove: anyId, createdMs: anyTime }) },
);
type Change = { put: IndexEntry } | { remove: string; createdMs: number };

/** Tells an index and its model the same. */
export function tell(changes: Change[], ...listeners: (RunIndexObject | Model)[]): void {
  for (const listener of listeners) {
    for (const change of changes) {
      if ("put" in change) listener.put(change.put);
      else listener.remove(change.remove, change.createdMs);
    }
  }
}

export const anyQuery = fc.record({
  flow: fc.option(fc.constantFrom("work", "Work", "", "none")),
  status: fc.option(fc.constantFrom("queued", "running", "completed", "none")),
  trigger: fc.option(fc.constantFrom("http" as const, "cron" as const, "webhook" as const)),
  triggerName: fc.option(fc.constantFrom("nightly", "github", "none")),
  fromMs: fc.option(anyTime),
  toMs: fc.option(fc.constantFrom(1, 2, 3, 4, 5)),
  limit: fc.integer({ min: 1, max: 4 }),
  // Also one that no page of this query ended with.
  after: fc.option(fc.record({ createdMs: anyTime, id: anyId })),
});

export const cron = (lastMs: number, lastRun: string, skippedMs: number | null = null): CronState => ({
  lastMs,
  lastRun,
  claimedMs: null,
  skippedMs,
});
