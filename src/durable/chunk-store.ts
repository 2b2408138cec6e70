import type { JobState } from "./chunks.ts";
import { type Place, placesOf } from "./item-store.ts";
import { inStatements } from "./text.ts";

/** A chunk that has something to say. */
export interface ChunkRow {
  step: number;
  /** The index of its first item. */
  first: number;
  status: "pending" | "deferred";
  attempts: number;
  crashes: number;
  redrives: number;
  dueMs: number | null;
  startedMs: number | null;
  job: JobState | null;
}

/** A vendor's job that is to be canceled. */
export interface Recall extends Pick<ChunkRow, "step" | "first" | "attempts" | "redrives" | "job"> {
  /** How often the vendor was told. */
  tries: number;
}

type Row = { [column: string]: SqlStorageValue };

/** The SQL of the chunks of batches with a `batchSize`. */
export class ChunkStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  save(chunks: readonly ChunkRow[]): void {
    const sql = `insert into chunk (step, first, status, attempts, crashes, redrives, due_ms, started_ms, job)
      select value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8
      from json_each(?) where true on conflict (step, first) do update set status = excluded.status,
      attempts = excluded.attempts, crashes = excluded.crashes, redrives = excluded.redrives, due_ms = excluded.due_ms,
      started_ms = excluded.started_ms, job = excluded.job`;
    const rows = chunks.map((chunk) => {
      const { step, first, status, attempts, crashes, redrives, dueMs, startedMs, job } = chunk;
      return [step, first, status, attempts, crashes, redrives, dueMs, startedMs, job && JSON.stringify(job)];
    });
    for (const some of inStatements(rows, (row) => String(row[8]).length + 80)) {
      this.#sql.exec(sql, JSON.stringify(some));
    }
  }

  /** What is known of the chunks of steps, by step and in order. */
  of(steps: readonly number[]): Map<number, ChunkRow[]> {
    const sql = `select step, first, status, attempts, crashes, redrives, due_ms, started_ms, job from chunk
      where step in (select value from json_each(?)) order by step, first`;
    const rows = this.#sql.exec<Row>(sql, JSON.stringify(steps)).toArray().map(chunkOf);
    return Map.groupBy(rows, ({ step }) => step);
  }

  /** A chunk begins at each of these items: prep found that so many are as much as one call can carry. */
  begin(step: number, firsts: readonly number[]): void {
    const sql = `insert into chunk (step, first, status, attempts, crashes, redrives)
      select ?, value, 'pending', 0, 0, 0 from json_each(?)`;
    if (firsts.length > 0) this.#sql.exec(sql, step, JSON.stringify(firsts));
  }

  /** Makes the deferred chunks whose time has come pending once more, and returns them, longest due first. */
  releaseDue(nowMs: number): { step: number; index: number }[] {
    const due = "status = 'deferred' and due_ms <= ?";
    const sql = `select step, first as "index" from chunk where ${due} order by due_ms`;
    const released = this.#sql.exec<{ step: number; index: number }>(sql, nowMs).toArray();
    if (released.length > 0) this.#sql.exec(`update chunk set status = 'pending', due_ms = null where ${due}`, nowMs);
    return released;
  }

  /** When a chunk is due, if it waits for its next attempt. */
  dueOf(step: number, first: number): number | null {
    const sql = "select due_ms as due from chunk where step = ? and first = ?";
    return this.#sql.exec<{ due: number | null }>(sql, step, first).toArray()[0]?.due ?? null;
  }

  earliestDue(): number | null {
    const sql = "select min(due_ms) as due from chunk where status = 'deferred'";
    return this.#sql.exec<{ due: number | null }>(sql).one().due;
  }

  /** Nothing of a stopped step comes due. */
  stop(step: number): void {
    this.#sql.exec("update chunk set status = 'pending', due_ms = null where step = ? and status = 'deferred'", step);
  }

  /**
   * Makes the attempts of all chunks of steps anew, but for those that are `held`. A job that goes on at the vendor does so here. A
   * chunk that gets `chosen` items has others in it than it had, as many perhaps: what it submits is another call.
   */
  reset(steps: readonly number[], held: Iterable<Place>, chosen: Iterable<Place>): void {
    this.#sql.exec(
      `update chunk set status = 'pending', redrives = redrives + (attempts > 0 or (step, first) in
         (select value->>0, (select max(first) from chunk where step = value->>0 and first <= value->>1) from json_each(?3))),
       attempts = 0, crashes = 0,
       due_ms = null, started_ms = null, job = case when job->>'$.job' is null or job->>'$.failure' is not null then null
         else json_set(job, '$.trouble', 0) end
       where step in (select value from json_each(?1))
       and (step, first) not in (select value->>0, value->>1 from json_each(?2))`,
      JSON.stringify(steps),
      placesOf(held),
      placesOf(chosen),
    );
  }

  /** The jobs that the vendor has are to be canceled, and those that it may have. */
  recall(atMs: number): void {
    this.#sql.exec("update chunk set recall_ms = ? where job is not null and not job->>'$.isEnded'", atMs);
  }

  /** What is being submitted for these chunks, if nothing is known of it by then. */
  recallLater(chunks: Iterable<{ step: number; index: number }>, atMs: number): void {
    const sql = `insert into chunk (step, first, status, attempts, crashes, redrives, recall_ms)
      select value->>0, value->>1, 'pending', 0, 0, 0, ? from json_each(?) where true
      on conflict (step, first) do update set recall_ms = excluded.recall_ms`;
    const places = Array.from(chunks, ({ step, index }) => [step, index]);
    if (places.length > 0) this.#sql.exec(sql, atMs, JSON.stringify(places));
  }

  /** The jobs of these chunks, where the vendor has one, are to be canceled. */
  recallThese(chunks: Iterable<{ step: number; index: number }>, atMs: number): void {
    const sql = `update chunk set recall_ms = ? where job->>'$.job' is not null
      and (step, first) in (select value->>0, value->>1 from json_each(?))`;
    this.#sql.exec(sql, atMs, JSON.stringify(Array.from(chunks, ({ step, index }) => [step, index])));
  }

  /** Nothing is canceled any more. */
  dropRecalls(): void {
    this.#sql.exec("update chunk set recall_ms = null, recalls = 0 where recall_ms is not null");
  }

  earliestRecall(): number | null {
    return this.#sql.exec<{ due: number | null }>("select min(recall_ms) as due from chunk").one().due;
  }

  /** The jobs that are to be canceled, the first that is due first. */
  recalls(most = -1): Recall[] {
    const sql = `select step, first, attempts, redrives, job, recalls as tries from chunk
      where recall_ms is not null order by recall_ms, step, first limit ?`;
    const rows = this.#sql.exec<Row>(sql, most).toArray();
    return rows.map((row) => ({ ...row, job: readJob(row.job) }) as Recall);
  }

  /** A job was canceled: what a redrive submits is another, under another name. */
  recalled({ step, first }: Recall): void {
    const sql = "update chunk set recall_ms = null, job = null, redrives = redrives + 1 where step = ? and first = ?";
    this.#sql.exec(sql, step, first);
  }

  /** A job could not be canceled. `dueMs`: when that is tried again, if it is. */
  postpone({ step, first }: Recall, dueMs: number | null): void {
    const sql = "update chunk set recall_ms = ?, recalls = recalls + 1 where step = ? and first = ?";
    this.#sql.exec(sql, dueMs, step, first);
  }

  forget(which: "=" | ">", step: number): void {
    this.#sql.exec(`delete from chunk where step ${which} ?`, step);
  }
}

function chunkOf(row: Row): ChunkRow {
  const { step, first, status, attempts, crashes, redrives, due_ms: dueMs, started_ms: startedMs, job } = row;
  const known = { step, first, status, attempts, crashes, redrives, dueMs, startedMs };
  return { ...known, job: readJob(job) } as ChunkRow;
}

function readJob(job: SqlStorageValue | undefined): JobState | null {
  return typeof job === "string" ? JSON.parse(job) : null;
}
