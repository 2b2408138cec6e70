import type { CronState, IndexEntry, IndexPage, IndexPlace, IndexQuery } from "./index-entry.ts";

/**
 * Created by the first call that has something to store, so that asking for runs where none was writes nothing.
 *
 * Every index is one more row to pay for with each run, and a row read costs a thousandth of a row written. So there is one index
 * for all lists: it is in their order and holds all they filter by, so that a filter that few runs pass walks along it without
 * looking at the runs themselves.
 */
const SCHEMA = `
-- A run as it last told of itself. Written by put, deleted by remove.
create table entry (
  id text primary key,
  created_ms integer not null,
  revision integer not null,
  flow text not null,
  status text not null,
  trigger text not null,
  trigger_name text,
  wake_ms integer,
  wake_slot integer,        -- wake_ms, so roughly that a run which goes on seldom changes it
  body text not null
) without rowid;
create index entry_list on entry (created_ms, id, flow, status, trigger, trigger_name);
create index entry_wake on entry (wake_slot) where wake_slot is not null;

-- A cron that has started a run. Written when it starts one, and when it skips one.
create table cron (
  name text primary key,
  last_ms integer not null,
  last_run text not null,
  claimed_ms integer,       -- since when that run is about to be started
  skipped_ms integer
) without rowid;
`;

/**
 * A run that goes on wants to be awake some seconds later each time it is heard of. Were the index exact, each of these would
 * write a row of it. In return `overdue` looks at the runs of one slot that are not overdue yet.
 */
const SLOT_MS = 5 * 60 * 1000;

type Value = string | number | null;

/** An entry's row without its id, by column. */
type Columns = Record<string, Value>;

/** All SQL of the list of runs. */
export class IndexStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
  }

  /** Returns whether it was no older than what is stored. */
  put(entry: IndexEntry): boolean {
    return this.#write(() => {
      const stored = this.#columns(entry.id);
      if (stored && isOlder(entry, stored)) return false;
      if (stored) this.#update(entry.id, stored, columnsOf(entry));
      else this.#insert(entry.id, columnsOf(entry));
      return true;
    });
  }

  /** What was known of the id at that time or before is gone: a run's id is free again only when the run is. */
  remove(id: string, createdMs: number): boolean {
    if (!this.#exists) return false;
    const sql = "delete from entry where id = ? and created_ms <= ? returning id";
    return this.#sql.exec(sql, id, createdMs).toArray().length > 0;
  }

  list(query: IndexQuery): IndexPage {
    if (!this.#exists) return { runs: [], next: null };
    const { where, values } = conditionsOf(query);
    // Places first, from the index alone: without that every run on the way would be looked at. One more than asked for tells
    // whether there is a next page.
    const found = this.#sql
      .exec<{ created_ms: number; id: string; body: string }>(
        `select created_ms, id, body
        from (select created_ms, id from entry ${where} order by created_ms desc, id desc limit ?) join entry using (created_ms, id)
        order by created_ms desc, id desc`,
        ...values,
        query.limit + 1,
      )
      .toArray();
    const runs = found.slice(0, query.limit);
    const last = found.length > runs.length ? runs.at(-1) : undefined;
    return { runs: runs.map(({ body }) => body), next: last ? placeOf(last) : null };
  }

  overdue(beforeMs: number, limit: number): IndexPlace[] {
    if (!this.#exists) return [];
    return this.#sql
      .exec<{ created_ms: number; id: string }>(
        "select created_ms, id from entry where wake_slot <= ? and wake_ms < ? order by wake_slot, wake_ms, id limit ?",
        slotOf(beforeMs),
        beforeMs,
        limit,
      )
      .toArray()
      .map(placeOf);
  }

  crons(): { [name: string]: CronState } {
    if (!this.#exists) return {};
    const states = this.#sql
      .exec<CronState & { name: string; [column: string]: SqlStorageValue }>(
        `select name, last_ms as "lastMs", last_run as "lastRun", claimed_ms as "claimedMs", skipped_ms as "skippedMs" from cron`,
      )
      .toArray()
      .map(({ name, ...state }) => [name, state] as const);
    return Object.fromEntries(states);
  }

  fired(name: string, scheduledMs: number, run: string, after?: string | null): boolean {
    return this.#write(() => {
      const [last] = this.#sql.exec<{ last_run: string }>("select last_run from cron where name = ?", name).toArray();
      if (after !== undefined && (last?.last_run ?? null) !== after) return false;
      this.#sql.exec(
        `insert into cron (name, last_ms, last_run, claimed_ms) values (?, ?, ?, ?)
        on conflict (name) do update
        set last_ms = excluded.last_ms, last_run = excluded.last_run, claimed_ms = excluded.claimed_ms
        where last_ms <> excluded.last_ms or last_run <> excluded.last_run`,
        name,
        scheduledMs,
        run,
        after === undefined ? null : Date.now(),
      );
      return true;
    });
  }

  started(name: string, run: string): void {
    if (this.#exists) this.#sql.exec("update cron set claimed_ms = null where name = ? and last_run = ?", name, run);
  }

  skipped(name: string, scheduledMs: number): void {
    if (!this.#exists) return;
    this.#sql.exec(
      "update cron set skipped_ms = ? where name = ? and coalesce(skipped_ms < ?, true)",
      scheduledMs,
      name,
      scheduledMs,
    );
  }

  #columns(id: string): Columns | undefined {
    const [row] = this.#sql.exec<Columns>("select * from entry where id = ?", id).toArray();
    return row;
  }

  #insert(id: string, columns: Columns): void {
    const names = Object.keys(columns);
    this.#sql.exec(
      `insert into entry (id, ${names.join(", ")}) values (?${", ?".repeat(names.length)})`,
      id,
      ...Object.values(columns),
    );
  }

  /** Names only what has changed: an index is written where a column of it is named, be it the same as before. */
  #update(id: string, stored: Columns, columns: Columns): void {
    const changed = Object.entries(columns).filter(([name, value]) => stored[name] !== value);
    if (changed.length === 0) return;
    this.#sql.exec(
      `update entry set ${changed.map(([name]) => `${name} = ?`).join(", ")} where id = ?`,
      ...changed.map(([, value]) => value),
      id,
    );
  }

  get #exists(): boolean {
    return this.#sql.exec("select 1 from sqlite_master where type = 'table' and name = 'entry'").toArray().length > 0;
  }

  #write<T>(write: () => T): T {
    return this.#storage.transactionSync(() => {
      if (!this.#exists) this.#sql.exec(SCHEMA);
      return write();
    });
  }
}

function columnsOf({ createdMs, revision, flow, status, trigger, wakeMs, body }: IndexEntry): Columns {
  return {
    created_ms: createdMs,
    revision,
    flow,
    status,
    trigger: trigger.type,
    trigger_name: trigger.name,
    wake_ms: wakeMs,
    wake_slot: wakeMs === null ? null : slotOf(wakeMs),
    body,
  };
}

function slotOf(ms: number): number {
  return Math.floor(ms / SLOT_MS);
}

function placeOf({ created_ms: createdMs, id }: { created_ms: number; id: string }): IndexPlace {
  return { createdMs, id };
}

/** Of two runs with one id the later one counts, and of what one run said that which it said last. */
function isOlder({ createdMs, revision }: IndexEntry, stored: Columns): boolean {
  const storedMs = Number(stored["created_ms"]);
  return createdMs === storedMs ? revision < Number(stored["revision"]) : createdMs < storedMs;
}

function conditionsOf(query: IndexQuery): { where: string; values: Value[] } {
  const { fromMs, flow, status, trigger, triggerName } = query;
  const until = untilOf(query);
  const conditions: [string, ...Value[]][] = [
    ["(created_ms, id) < (?, ?)", until?.createdMs ?? null, until?.id ?? null],
    ["created_ms >= ?", fromMs],
    ["flow = ?", flow],
    ["status = ?", status],
    ["trigger = ?", trigger],
    ["trigger_name = ?", triggerName],
  ];
  const asked = conditions.filter(([, value]) => value !== null);
  return {
    where: asked.length === 0 ? "" : `where ${asked.map(([condition]) => condition).join(" and ")}`,
    values: asked.flatMap(([, ...values]) => values),
  };
}

/** What all runs of a page are below. One bound and not two: the walk along the index begins at one, and would only test the other. */
function untilOf({ after, toMs }: IndexQuery): IndexPlace | null {
  if (toMs === null || (after && after.createdMs < toMs)) return after;
  return { createdMs: toMs, id: "" };
}
