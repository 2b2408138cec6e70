import { type Count, UNUSED, type Usage } from "../core/bucket.ts";
import { type Holder, type Limiter, pack, unpack } from "../core/limiter.ts";
import { commit } from "./commit.ts";
import type { Change } from "./limit-keys.ts";
import { LIMITER_SCHEMA } from "./limiter-schema.ts";

/** Which limit and key an object counts for. */
export interface Place {
  limit: string;
  key: string;
}

/** All SQL of one limit and key. Nothing is written before there is something to count. */
export class LimiterStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #onFailure: (error: unknown) => void;
  /** What the rows say of counts, as the objects they were written from: a count that changed is another object. */
  #written = new Set<Count>();

  constructor(storage: DurableObjectStorage, onFailure: (error: unknown) => void) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#onFailure = onFailure;
  }

  commit<T>(write: () => T): T {
    return commit(this.#storage, this.#onFailure, write);
  }

  exists(): boolean {
    return this.#sql.exec("select 1 from sqlite_master where type = 'table' and name = 'limiter'").toArray().length > 0;
  }

  create({ limit, key }: Place, change: Change): void {
    this.#sql.exec(LIMITER_SCHEMA);
    this.#sql.exec(
      "insert into limiter (name, key, change, usage) values (?, ?, ?, ?)",
      limit,
      key,
      JSON.stringify(change),
      writeUsage(UNUSED),
    );
  }

  read(): Place & { change: Change; usage: Usage; holders: Holder[] } {
    const row = this.#sql
      .exec<{ name: string; key: string; change: string; usage: string }>("select * from limiter")
      .one();
    const counts = this.#sql
      .exec<{ at_ms: number; requests: number; tokens: number }>("select * from counted order by at_ms")
      .toArray()
      .map(({ at_ms: atMs, requests, tokens }) => ({ atMs, requests, tokens }));
    this.#written = new Set(counts);
    return {
      limit: row.name,
      key: row.key,
      change: JSON.parse(row.change),
      usage: { ...JSON.parse(row.usage), counts },
      holders: this.#holders(),
    };
  }

  saveChange(change: Change): void {
    this.#sql.exec("update limiter set change = ?", JSON.stringify(change));
  }

  /** Writes what has changed since it was last called. */
  save(limiter: Limiter): void {
    this.#sql.exec("update limiter set usage = ?", writeUsage(limiter.usage));
    this.#saveCounts(limiter.usage.counts);
    for (const run of limiter.changed) this.#saveHolder(run, limiter.holders.get(run));
    limiter.changed.clear();
  }

  #saveCounts(counts: readonly Count[]): void {
    const now = new Set(counts);
    const kept = new Set(counts.map(({ atMs }) => atMs));
    for (const { atMs } of this.#written) {
      if (!kept.has(atMs)) this.#sql.exec("delete from counted where at_ms = ?", atMs);
    }
    for (const count of counts) {
      if (this.#written.has(count)) continue;
      const { atMs, requests, tokens } = count;
      this.#sql.exec(
        "insert or replace into counted (at_ms, requests, tokens) values (?, ?, ?)",
        atMs,
        requests,
        tokens,
      );
    }
    this.#written = now;
  }

  #saveHolder(run: string, holder: Holder | undefined): void {
    if (!holder) {
      this.#sql.exec("delete from holder where run = ?", run);
      return;
    }
    const { life, latest, heard, last, turn, wants, open } = holder;
    this.#sql.exec(
      "insert or replace into holder (run, life, latest, heard, last, turn, wants, open) values (?, ?, ?, ?, ?, ?, ?, ?)",
      run,
      life,
      latest,
      heard,
      last,
      turn,
      JSON.stringify(pack(wants)),
      JSON.stringify(writeOpen(open)),
    );
  }

  #holders(): Holder[] {
    return this.#sql
      .exec<{ [column: string]: SqlStorageValue }>("select * from holder")
      .toArray()
      .map(
        ({ wants, open, ...row }) =>
          ({
            ...row,
            wants: unpack(JSON.parse(String(wants))),
            open: readOpen(String(open)),
            leaseMs: 0,
          }) as unknown as Holder,
      );
  }
}

/** All of it but the counts, which have rows of their own. */
function writeUsage({ counts: _, ...usage }: Usage): string {
  return JSON.stringify(usage);
}

type OpenRun = [first: number, count: number, tokens: number, countedMs: number | null];

/** Permits that follow each other and are alike, as most do that are granted at once, are written as one. */
function writeOpen(open: Holder["open"]): OpenRun[] {
  const runs: OpenRun[] = [];
  for (const [id, { tokens, countedMs }] of open) {
    const last = runs.at(-1);
    if (last && last[0] + last[1] === id && last[2] === tokens && last[3] === countedMs) last[1]++;
    else runs.push([id, 1, tokens, countedMs]);
  }
  return runs;
}

function readOpen(text: string): Holder["open"] {
  const open: Holder["open"] = new Map();
  for (const [first, count, tokens, countedMs] of JSON.parse(text) as OpenRun[]) {
    for (let id = first; id < first + count; id++) open.set(id, { tokens, countedMs });
  }
  return open;
}
