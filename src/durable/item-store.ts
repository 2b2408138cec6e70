import type { FailedItem } from "../core/error-groups.ts";
import type { Failure } from "../core/errors.ts";
import type { StoredNeeds } from "./needs.ts";
import { inStatements, type LongText, ROW_LIMIT, STATEMENT_TEXT } from "./text.ts";

export interface ItemRow {
  step: number;
  index: number;
  status: "pending" | "deferred" | "succeeded" | "failed";
  attempts: number;
  crashes: number;
  redrives: number;
  dueMs: number | null;
  startedMs: number | null;
  finishedMs: number | null;
  body: string | null;
}

const INSERT =
  "insert or replace into item (step, idx, status, attempts, crashes, redrives, due_ms, started_ms, finished_ms, body)";

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

  /** What the single items of steps need of their limits, where that was stored. */
  soloNeeds(steps: readonly number[]): Map<number, StoredNeeds> {
    const sql = `select id, body->'$.needs' as needs from step
      where id in (select value from json_each(?)) and needs is not null`;
    const rows = this.#sql.exec<{ id: number; needs: string }>(sql, JSON.stringify(steps)).toArray();
    return new Map(rows.map(({ id, needs }) => [id, JSON.parse(needs)]));
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

  /** Forgets the pages of steps that were lost before they were stored: their numbers will be those of others. */
  dropPagesAfter(step: number): void {
    this.#sql.exec("delete from page where step > ?", step);
    this.#longText.deleteOf(["page"], ">", step);
  }

  /** Forgets the pages of a prep that was interrupted. */
  dropPages(step: number): void {
    this.#sql.exec("delete from page where step = ?", step);
    this.#sql.exec("delete from long_text where owner glob ?", `page/${step}/*`);
  }

  /** The one item of a step that has no pages. */
  solo(step: number): string {
    const { body } = this.#sql.exec<{ body: string }>("select body from step where id = ?", step).one();
    // Not taken out by SQL, which would not keep half a surrogate pair.
    const { item } = JSON.parse(body) as { item: string };
    return item || this.#longText.get(`page/${step}/0`);
  }

  /** The page that has item `index`; nothing for a step that has no pages. */
  page(step: number, index: number): { first: number; items: string[] } | undefined {
    const sql = "select first, body from page where step = ? and first <= ? order by first desc limit 1";
    const [page] = this.#sql.exec<{ first: number; body: string }>(sql, step, index).toArray();
    if (!page) return undefined;
    const { first, body } = page;
    return { first, items: JSON.parse(body || this.#longText.get(`page/${step}/${first}`)) };
  }

  /**
   * Writes what reports and crashes made of items. Items that ended alike share statements, in which only their number and body
   * differ: to bind nine columns for each row, or to take them out of JSON, costs several times as much.
   */
  save(items: readonly ItemRow[]): void {
    for (const alike of alikes(items)) {
      for (const some of inStatements(alike, textOf)) this.#saveAlike(some);
    }
  }

  #saveAlike(items: readonly ItemRow[]): void {
    const { step, index, status, attempts, crashes, redrives, dueMs, startedMs, finishedMs } = items[0] as ItemRow;
    const columns = [status, attempts, crashes, redrives, dueMs, startedMs, finishedMs];
    const isOfOneStep = items.length === 1 || items[1]?.step === step;
    const bodies: { [number: number]: string | null } = {};
    for (const item of items) bodies[isOfOneStep ? item.index : item.step] = this.#bodyOf(item);
    this.#sql.exec(
      `${INSERT} select ${isOfOneStep ? "?, key" : "key, ?"}, ?, ?, ?, ?, ?, ?, ?, value from json_each(?)`,
      isOfOneStep ? step : index,
      ...columns,
      JSON.stringify(bodies),
    );
  }

  /** What is known of the items of steps, without their bodies, by step and in order. */
  statesOf(steps: readonly number[]): Map<number, Omit<ItemRow, "body">[]> {
    const rows = this.#sql.exec<{ [key: string]: SqlStorageValue }>(
      `select step, idx, status, attempts, crashes, redrives, due_ms, started_ms, finished_ms from item
       where step in (select value from json_each(?)) order by step, idx`,
      JSON.stringify(steps),
    );
    return Map.groupBy(
      rows.toArray().map((row) => itemOf(Number(row.step), row)),
      ({ step }) => step,
    );
  }

  /** The items from index `from` on that have a row, in order; only those of one status if it is given. Read as they are asked for. */
  *from(step: number, from: number, status: string | null): Generator<ItemRow> {
    const rows = this.#sql.exec<{ [key: string]: SqlStorageValue }>(
      `select idx, status, attempts, crashes, redrives, due_ms, started_ms, finished_ms, body from item
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

  /** The items of a node that have a row, by step and in order, and how they stand. Read as they are asked for. */
  statusesOf(node: string): Iterator<Pick<ItemRow, "step" | "index" | "status">> {
    const sql = `select item.step, idx as "index", status from item join step on step.id = item.step
      where step.node = ? order by item.step, idx`;
    return this.#sql.exec<Pick<ItemRow, "step" | "index" | "status">>(sql, node);
  }

  /** How many items of a step have ended how. */
  tally({ id, total }: { id: number; total: number }): { total: number; succeeded: number; failed: number } {
    const sql = `select coalesce(sum(status = 'succeeded'), 0) as succeeded, coalesce(sum(status = 'failed'), 0) as failed
      from item where step = ?`;
    return { total, ...this.#sql.exec<{ succeeded: number; failed: number }>(sql, id).one() };
  }

  /** All items that have failed, and why. Read as they are asked for. */
  *failures(): Generator<FailedItem> {
    const sql = `select node, item.step, idx, item.body from item join step on step.id = item.step
      where item.status = 'failed' order by item.step, idx`;
    for (const [node, step, index, body] of this.#sql.exec(sql).raw<[string, number, number, string | null]>()) {
      const { name, message } = JSON.parse(body ?? this.#longText.get(`item/${step}/${index}`)) as Failure;
      yield { node, step, index, error: { name, message } };
    }
  }

  /** When an item is due that waits for its next attempt. */
  dueOf(step: number, index: number): number | null {
    const sql = "select due_ms as due from item where step = ? and idx = ? and status = 'deferred'";
    return this.#sql.exec<{ due: number | null }>(sql, step, index).toArray()[0]?.due ?? null;
  }

  /** The texts of a settled step's results, in order. */
  *results(step: number): Generator<string> {
    const sql = "select idx, body from item where step = ? and status = 'succeeded' order by idx";
    for (const [index, body] of this.#sql.exec(sql, step).raw<[number, string | null]>()) {
      yield body ?? this.#longText.get(`item/${step}/${index}`);
    }
  }

  /** What came of a settled step's items, in order. */
  *outcomes(step: number): Generator<{ ok: boolean; body: string }> {
    const sql = "select idx, status, body from item where step = ? and status in ('succeeded', 'failed') order by idx";
    for (const [index, status, body] of this.#sql.exec(sql, step).raw<[number, string, string | null]>()) {
      yield { ok: status === "succeeded", body: body ?? this.#longText.get(`item/${step}/${index}`) };
    }
  }

  /** The first item of a step that failed, and why; nothing where none did. */
  firstFailed(step: number): { index: number; attempts: number; body: string } | undefined {
    const sql = `select idx as "index", attempts, body from item where step = ? and status = 'failed'
      order by finished_ms, idx limit 1`;
    const [first] = this.#sql.exec<{ index: number; attempts: number; body: string | null }>(sql, step).toArray();
    return first && { ...first, body: first.body ?? this.#longText.get(`item/${step}/${first.index}`) };
  }

  /** Nothing of a stopped step comes due. */
  stop(step: number): void {
    this.#sql.exec("update item set status = 'pending', due_ms = null where step = ? and status = 'deferred'", step);
  }

  /**
   * Makes all items of steps that have no result pending, their attempts to be made anew, but for those that are `held`, and those
   * that failed and are not `chosen` where some are. Returns how many of them had failed.
   */
  reset(steps: readonly number[], held: Iterable<Place>, chosen: Iterable<Place> | null): number {
    // Lists that are made once, and not looked through for each item.
    const isMeant = `step in (select value from json_each(?1)) and status <> 'succeeded'
      and (step, idx) not in (select value->>0, value->>1 from json_each(?2))
      and (status <> 'failed' or ?3 is null or (step, idx) in (select value->>0, value->>1 from json_each(?3)))`;
    const bindings = [JSON.stringify(steps), placesOf(held), chosen && placesOf(chosen)];
    const failed = `from item where status = 'failed' and ${isMeant}`;
    const long = `select step, idx as "index" ${failed} and body is null`;
    const { count } = this.#sql.exec<{ count: number }>(`select count(*) as count ${failed}`, ...bindings).one();
    for (const { step, index } of this.#sql.exec<{ step: number; index: number }>(long, ...bindings).toArray()) {
      this.#longText.delete(`item/${step}/${index}`);
    }
    // What the failed items of a chunk have behind them is in its row.
    this.#sql.exec(
      `delete from item where status = 'failed' and ${isMeant}
       and step in (select id from step where body->>'$.batchSize' is not null)`,
      ...bindings,
    );
    // One that never had an outcome keeps the name of its first attempt: a vendor may know that already.
    const again = "redrives = redrives + (attempts > 0), attempts = 0, crashes = 0, due_ms = null";
    const sql = `update item set status = 'pending', ${again}, started_ms = null, finished_ms = null, body = null`;
    this.#sql.exec(`${sql} where ${isMeant}`, ...bindings);
    return count;
  }

  /** How many items of each step have a result, and how many have failed. */
  settled(steps: readonly number[]): Map<number, { succeeded: number; failed: number }> {
    const sql = `select step, sum(status = 'succeeded') as succeeded, sum(status = 'failed') as failed from item
      where step in (select value from json_each(?)) group by step`;
    const rows = this.#sql
      .exec<{ step: number; succeeded: number; failed: number }>(sql, JSON.stringify(steps))
      .toArray();
    return new Map(rows.map(({ step, succeeded, failed }) => [step, { succeeded, failed }]));
  }

  /** Those of some items that have failed. */
  failedOf(places: Iterable<Place>): Place[] {
    const sql = `select step, idx as "index" from item
      where status = 'failed' and (step, idx) in (select value->>0, value->>1 from json_each(?))`;
    return this.#sql.exec<{ step: number; index: number }>(sql, placesOf(places)).toArray();
  }

  /** Forgets all items of one step, or of all steps with a later number. */
  forget(which: "=" | ">", step: number): void {
    for (const table of ["item", "page"]) this.#sql.exec(`delete from ${table} where step ${which} ?`, step);
    this.#longText.deleteOf(["item", "page"], which, step);
  }

  /** The texts of settled steps' results, by step and in order. */
  resultsOf(steps: readonly number[]): Map<number, string[]> {
    const sql = `select step, idx, body from item
      where step in (select value from json_each(?)) and status = 'succeeded' order by step, idx`;
    const results = new Map<number, string[]>();
    for (const [step, index, body] of this.#sql
      .exec(sql, JSON.stringify(steps))
      .raw<[number, number, string | null]>()) {
      const known = results.get(step) ?? [];
      known.push(body ?? this.#longText.get(`item/${step}/${index}`));
      results.set(step, known);
    }
    return results;
  }

  /** All items of a step as prep stored them, in order. */
  *paged(step: number): Generator<string> {
    const sql = "select first, body from page where step = ? order by first";
    for (const { first, body } of this.#sql.exec<{ first: number; body: string }>(sql, step)) {
      yield* JSON.parse(body || this.#longText.get(`page/${step}/${first}`)) as string[];
    }
  }

  /** Makes the deferred items whose time has come pending once more, and returns them, longest due first. */
  releaseDue(nowMs: number): { step: number; index: number }[] {
    const due = "status = 'deferred' and due_ms <= ?";
    const sql = `select step, idx as "index" from item where ${due} order by due_ms`;
    const released = this.#sql.exec<{ step: number; index: number }>(sql, nowMs).toArray();
    this.#sql.exec(`update item set status = 'pending', due_ms = null where ${due}`, nowMs);
    return released;
  }

  earliestDue(): number | null {
    const sql = "select min(due_ms) as due from item where status = 'deferred'";
    return this.#sql.exec<{ due: number | null }>(sql).one().due;
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

export interface Place {
  step: number;
  index: number;
}

/** For SQL: `select value->>0, value->>1 from json_each(?)` gives them. */
export function placesOf(places: Iterable<Place>): string {
  return JSON.stringify(Array.from(places, ({ step, index }) => [step, index]));
}

function textOf({ body }: ItemRow): number {
  return body === null || body.length > STATEMENT_TEXT ? 0 : body.length;
}

/** Cuts items where one ended otherwise than the one before it, or is neither of its step nor in the same place of another. */
function* alikes(items: readonly ItemRow[]): Generator<ItemRow[]> {
  let alike: ItemRow[] = [];
  for (const item of items) {
    const last = alike.at(-1);
    if (last && !(isAlike(last, item) && isNextTo(last, item, alike.at(-2)))) {
      yield alike;
      alike = [];
    }
    alike.push(item);
  }
  if (alike.length > 0) yield alike;
}

/** Whether two items' rows differ in nothing but place and body. */
function isAlike(a: ItemRow, b: ItemRow): boolean {
  return (
    a.finishedMs === b.finishedMs &&
    a.startedMs === b.startedMs &&
    a.status === b.status &&
    a.attempts === b.attempts &&
    a.crashes === b.crashes &&
    a.redrives === b.redrives &&
    a.dueMs === b.dueMs
  );
}

/** Whether items are all of one step, or each of another and all at the same index. */
function isNextTo(last: ItemRow, item: ItemRow, before: ItemRow | undefined): boolean {
  const isSameStep = last.step === item.step;
  if (before !== undefined && (before.step === last.step) !== isSameStep) return false;
  return isSameStep || last.index === item.index;
}

function itemOf(step: number, row: { [key: string]: SqlStorageValue }): Omit<ItemRow, "body"> {
  const { idx, status, attempts, crashes, redrives } = row;
  const { due_ms: dueMs, started_ms: startedMs, finished_ms: finishedMs } = row;
  return { step, index: idx, status, attempts, crashes, redrives, dueMs, startedMs, finishedMs } as Omit<
    ItemRow,
    "body"
  >;
}
