import type { StoredNeeds } from "./needs.ts";
import { type LongText, ROW_LIMIT } from "./text.ts";

export interface ItemRow {
  step: number;
  index: number;
  status: "pending" | "deferred" | "succeeded" | "failed";
  attempts: number;
  crashes: number;
  dueMs: number | null;
  startedMs: number | null;
  finishedMs: number | null;
  body: string | null;
}

const INSERT =
  "insert or replace into item (step, idx, status, attempts, crashes, due_ms, started_ms, finished_ms, body)";
/** So much text goes into one statement: escaped, which may make it six times as long, it must fit what a row may hold. */
const STATEMENT_TEXT = ROW_LIMIT / 6;

/** The SQL of a run's items: the pages that prep stored, and a row for each item that has something to say. */
export class ItemStore {
  readonly #sql: SqlStorage;
  readonly #longText: LongText;

  constructor(sql: SqlStorage, longText: LongText) {
    this.#sql = sql;
    this.#longText = longText;
  }

  addPage(step: number, first: number, items: string[], needs: StoredNeeds[]): void {
    const body = JSON.stringify(items);
    const stored = body.length > ROW_LIMIT ? this.#putLong(`page/${step}/${first}`, body) : body;
    const said = needs.length > 0 ? JSON.stringify(needs) : null;
    this.#sql.exec("insert into page (step, first, body, needs) values (?, ?, ?, ?)", step, first, stored, said);
  }

  /** What the items of one page need of their limits: of the page that has item `index`. */
  needs(step: number, index: number): { first: number; needs: StoredNeeds[] } {
    const sql = "select first, needs from page where step = ? and first <= ? order by first desc limit 1";
    const { first, needs } = this.#sql.exec<{ first: number; needs: string | null }>(sql, step, index).one();
    return { first, needs: JSON.parse(needs ?? "[]") };
  }

  /** What every item of a step needs of its limits, in order. */
  *allNeeds(step: number): Generator<StoredNeeds> {
    const sql = "select needs from page where step = ? order by first";
    for (const { needs } of this.#sql.exec<{ needs: string | null }>(sql, step)) yield* JSON.parse(needs ?? "[]");
  }

  /** Forgets the pages of a prep that was interrupted. */
  dropPages(step: number): void {
    this.#sql.exec("delete from page where step = ?", step);
    this.#sql.exec("delete from long_text where owner glob ?", `page/${step}/*`);
  }

  /** The page that has item `index`. */
  page(step: number, index: number): { first: number; items: string[] } {
    const { first, body } = this.#sql
      .exec<{ first: number; body: string }>(
        "select first, body from page where step = ? and first <= ? order by first desc limit 1",
        step,
        index,
      )
      .one();
    return { first, items: JSON.parse(body || this.#longText.get(`page/${step}/${first}`)) };
  }

  /**
   * Writes what reports and crashes made of items. Items that ended alike share statements, in which only index and body
   * differ: to bind nine columns for each row, or to take them out of JSON, costs several times as much.
   */
  save(items: ItemRow[]): void {
    for (const alike of inBatches(items)) this.#saveAlike(alike);
  }

  #saveAlike(items: ItemRow[]): void {
    const { step, status, attempts, crashes, dueMs, startedMs, finishedMs } = items[0] as ItemRow;
    const columns = [step, status, attempts, crashes, dueMs, startedMs, finishedMs];
    const bodies: { [index: number]: string | null } = {};
    for (const item of items) bodies[item.index] = this.#bodyOf(item);
    this.#sql.exec(
      `${INSERT} select ?, key, ?, ?, ?, ?, ?, ?, value from json_each(?)`,
      ...columns,
      JSON.stringify(bodies),
    );
  }

  /** What is known of a step's items, without their bodies, in order. */
  *states(step: number): Generator<Omit<ItemRow, "body">> {
    const rows = this.#sql.exec<{ [key: string]: SqlStorageValue }>(
      "select idx, status, attempts, crashes, due_ms, started_ms, finished_ms from item where step = ? order by idx",
      step,
    );
    for (const row of rows) yield itemOf(step, row);
  }

  /** The items from index `from` on that have a row, in order; only those of one status if it is given. Read as they are asked for. */
  *from(step: number, from: number, status: string | null): Generator<ItemRow> {
    const rows = this.#sql.exec<{ [key: string]: SqlStorageValue }>(
      `select idx, status, attempts, crashes, due_ms, started_ms, finished_ms, body from item
       where step = ?1 and idx >= ?2 and (?3 is null or status = ?3) order by idx`,
      step,
      from,
      status,
    );
    for (const row of rows) {
      const item = itemOf(step, row);
      const isLong = row.body === null && (item.status === "succeeded" || item.status === "failed");
      yield { ...item, body: isLong ? this.#longText.get(`item/${step}/${item.index}`) : (row.body as string | null) };
    }
  }

  /** The texts of a settled step's results, in order. */
  *results(step: number): Generator<string> {
    const sql = "select idx, body from item where step = ? and status = 'succeeded' order by idx";
    for (const [index, body] of this.#sql.exec(sql, step).raw<[number, string | null]>()) {
      yield body ?? this.#longText.get(`item/${step}/${index}`);
    }
  }

  /** All items of a step as prep stored them, in order. */
  *paged(step: number): Generator<string> {
    const sql = "select first, body from page where step = ? order by first";
    for (const { first, body } of this.#sql.exec<{ first: number; body: string }>(sql, step)) {
      yield* JSON.parse(body || this.#longText.get(`page/${step}/${first}`)) as string[];
    }
  }

  /** Makes the deferred items whose time has come pending once more, and returns them, longest due first. */
  releaseDue(step: number, nowMs: number): number[] {
    const due = "from item where step = ? and status = 'deferred' and due_ms <= ?";
    const indexes = this.#sql.exec<{ idx: number }>(`select idx ${due} order by due_ms`, step, nowMs).toArray();
    const release =
      "update item set status = 'pending', due_ms = null where step = ? and status = 'deferred' and due_ms <= ?";
    this.#sql.exec(release, step, nowMs);
    return indexes.map((row) => row.idx);
  }

  earliestDue(step: number): number | null {
    const sql = "select min(due_ms) as due from item where step = ? and status = 'deferred'";
    return this.#sql.exec<{ due: number | null }>(sql, step).one().due;
  }

  #putLong(owner: string, text: string): string {
    this.#longText.put(owner, text);
    return "";
  }

  /** A body that does not fit into a statement with others is kept as a long text; its row says so by having none. */
  #bodyOf(item: ItemRow): string | null {
    if (item.body === null || item.body.length <= STATEMENT_TEXT) return item.body;
    this.#longText.put(`item/${item.step}/${item.index}`, item.body);
    return null;
  }
}

/** Cuts items where one ended otherwise than the one before it, or where the bodies are more than one statement takes. */
function* inBatches(items: ItemRow[]): Generator<ItemRow[]> {
  let batch: ItemRow[] = [];
  let text = 0;
  for (const item of items) {
    const length = item.body?.length ?? 0;
    const last = batch.at(-1);
    if (last && (text + length > STATEMENT_TEXT || !isAlike(last, item))) {
      yield batch;
      batch = [];
      text = 0;
    }
    batch.push(item);
    text += length > STATEMENT_TEXT ? 0 : length;
  }
  if (batch.length > 0) yield batch;
}

/** Whether two items' rows differ in nothing but index and body. */
function isAlike(a: ItemRow, b: ItemRow): boolean {
  return (
    a.finishedMs === b.finishedMs &&
    a.startedMs === b.startedMs &&
    a.status === b.status &&
    a.attempts === b.attempts &&
    a.crashes === b.crashes &&
    a.dueMs === b.dueMs &&
    a.step === b.step
  );
}

function itemOf(step: number, row: { [key: string]: SqlStorageValue }): Omit<ItemRow, "body"> {
  const { idx, status, attempts, crashes, due_ms: dueMs, started_ms: startedMs, finished_ms: finishedMs } = row;
  return { step, index: idx, status, attempts, crashes, dueMs, startedMs, finishedMs } as Omit<ItemRow, "body">;
}
