import type { GraphShape } from "../core/graph.ts";
import type { RunState, Step } from "../core/run.ts";
import { SCHEMA } from "./schema.ts";
import { parts, ROW_LIMIT } from "./text.ts";

export interface RunRow {
  id: string;
  flow: string;
  shape: GraphShape;
  inputDigest: string | null;
  createdMs: number;
  state: RunState;
}

export interface StepRow extends Step {
  total: number;
  succeeded: number;
  failed: number;
  losses: number;
  fields: string | null;
}

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

/** An item as a slot was given it. */
export interface HeldItem {
  slot: number;
  step: number;
  index: number;
  attempts: number;
  claimedMs: number;
}

export type Home = "inline" | "object" | "queue";

export interface SlotRow {
  id: number;
  home: Home;
  state: "idle" | "woken" | "live";
  wake: number;
  delivery: number;
  entry: string;
  fence: number;
  given: number;
  wokenMs: number;
  claimed: number;
  /** In the order in which they were given. */
  held: Set<HeldItem>;
}

/** All SQL of a run. Verbs, named for what happened; no decisions. */
export class Store {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #onFailure: (error: unknown) => void;

  constructor(storage: DurableObjectStorage, onFailure: (error: unknown) => void) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#onFailure = onFailure;
  }

  /**
   * One transaction: all of it is stored, or, when `write` throws, nothing. Then memory may say more than the rows do, so
   * `onFailure` must see to it that the object starts anew from them.
   */
  commit<T>(write: () => T): T {
    try {
      return this.#storage.transactionSync(write);
    } catch (error) {
      this.#onFailure(error);
      throw error;
    }
  }

  exists(): boolean {
    return this.#sql.exec("select 1 from sqlite_master where type = 'table' and name = 'run'").toArray().length > 0;
  }

  create(run: RunRow): void {
    this.#sql.exec(SCHEMA);
    this.#sql.exec(
      "insert into run (id, flow, shape, input_digest, created_ms, state) values (?, ?, ?, ?, ?, ?)",
      run.id,
      run.flow,
      JSON.stringify(run.shape),
      run.inputDigest,
      run.createdMs,
      JSON.stringify(run.state),
    );
  }

  run(): RunRow {
    const row = this.#sql.exec<{ [key: string]: SqlStorageValue }>("select * from run").one();
    return {
      id: String(row.id),
      flow: String(row.flow),
      shape: JSON.parse(String(row.shape)),
      inputDigest: row.input_digest as string | null,
      createdMs: Number(row.created_ms),
      state: JSON.parse(String(row.state)),
    };
  }

  saveState(state: RunState): void {
    this.#sql.exec("update run set state = ?", JSON.stringify(state));
  }

  /** The steps that are under way. */
  openSteps(): StepRow[] {
    return this.#sql
      .exec<{ [key: string]: SqlStorageValue }>("select * from step where phase <> 'done' order by id")
      .toArray()
      .map(stepOf);
  }

  saveStep(step: StepRow): void {
    this.#sql.exec(
      `insert or replace into step (id, branch, node, parent, phase, last_action, total, succeeded, failed, losses, fields)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      step.id,
      step.branch,
      step.node,
      step.parent,
      step.phase,
      step.lastAction,
      step.total,
      step.succeeded,
      step.failed,
      step.losses,
      step.fields,
    );
  }

  /** Sums over the steps whose items are all settled. */
  settledCounts(): { total: number; succeeded: number; failed: number } {
    const sums =
      "coalesce(sum(total), 0) as total, coalesce(sum(succeeded), 0) as succeeded, coalesce(sum(failed), 0) as failed";
    const settled = "phase in ('post', 'done')";
    return this.#sql
      .exec<{ total: number; succeeded: number; failed: number }>(`select ${sums} from step where ${settled}`)
      .one();
  }

  /** Steps that have items, in order, from `from` on. */
  stepsWithItems(node: string | null, from: number): StepRow[] {
    return this.#sql
      .exec<{ [key: string]: SqlStorageValue }>(
        "select * from step where total > 0 and id >= ? and (?2 is null or node = ?2) order by id",
        from,
        node,
      )
      .toArray()
      .map(stepOf);
  }

  /** The latest step of one of these nodes. */
  latestStep(nodes: string[]): StepRow | undefined {
    const sql = "select * from step where node in (select value from json_each(?)) order by id desc limit 1";
    return this.#sql.exec<{ [key: string]: SqlStorageValue }>(sql, JSON.stringify(nodes)).toArray().map(stepOf)[0];
  }

  step(id: number): StepRow | undefined {
    return this.#sql
      .exec<{ [key: string]: SqlStorageValue }>("select * from step where id = ?", id)
      .toArray()
      .map(stepOf)[0];
  }

  addPage(step: number, first: number, items: string[]): void {
    const body = JSON.stringify(items);
    const stored = body.length > ROW_LIMIT ? this.#putLong(`page/${step}/${first}`, body) : body;
    this.#sql.exec("insert into page (step, first, body) values (?, ?, ?)", step, first, stored);
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
    return { first, items: JSON.parse(body || this.longText(`page/${step}/${first}`)) };
  }

  /**
   * Writes what reports and crashes made of items. Items that ended alike share a statement, in which only index and body
   * differ: to bind nine columns for each row, or to take them out of JSON, costs several times as much.
   */
  saveItems(items: ItemRow[]): void {
    for (const [first, ...others] of Map.groupBy(items, likeness).values()) {
      const { step, status, attempts, crashes, dueMs, startedMs, finishedMs } = first as ItemRow;
      const bodies = Object.fromEntries([first as ItemRow, ...others].map((item) => [item.index, this.#bodyOf(item)]));
      this.#sql.exec(
        `insert or replace into item (step, idx, status, attempts, crashes, due_ms, started_ms, finished_ms, body)
         select ?, key, ?, ?, ?, ?, ?, ?, value from json_each(?)`,
        ...[step, status, attempts, crashes, dueMs, startedMs, finishedMs, JSON.stringify(bodies)],
      );
    }
  }

  /** What is known of a step's items, without their bodies, in order. */
  *itemStates(step: number): Generator<Omit<ItemRow, "body">> {
    const rows = this.#sql.exec<{ [key: string]: SqlStorageValue }>(
      "select idx, status, attempts, crashes, due_ms, started_ms, finished_ms from item where step = ? order by idx",
      step,
    );
    for (const row of rows) yield itemOf(step, row);
  }

  /** The items with index `from` up to `to` that have a row, with their bodies. */
  itemsBetween(step: number, from: number, to: number): ItemRow[] {
    return this.#sql
      .exec<{ [key: string]: SqlStorageValue }>(
        `select idx, status, attempts, crashes, due_ms, started_ms, finished_ms, body from item
         where step = ? and idx >= ? and idx < ?`,
        step,
        from,
        to,
      )
      .toArray()
      .map((row) => {
        const item = itemOf(step, row);
        const isLong = row.body === null && (item.status === "succeeded" || item.status === "failed");
        return { ...item, body: isLong ? this.longText(`item/${step}/${item.index}`) : (row.body as string | null) };
      });
  }

  /** The texts of a settled step's results, in order. */
  *results(step: number): Generator<string> {
    const sql = "select idx, body from item where step = ? and status = 'succeeded' order by idx";
    for (const { idx, body } of this.#sql.exec<{ idx: number; body: string | null }>(sql, step)) {
      yield body ?? this.longText(`item/${step}/${idx}`);
    }
  }

  /** All items of a step as prep stored them, in order. */
  *pageItems(step: number): Generator<string> {
    const sql = "select first, body from page where step = ? order by first";
    for (const { first, body } of this.#sql.exec<{ first: number; body: string }>(sql, step)) {
      yield* JSON.parse(body || this.longText(`page/${step}/${first}`)) as string[];
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

  slots(): SlotRow[] {
    return this.#sql
      .exec<{ [key: string]: SqlStorageValue }>("select * from slot order by id")
      .toArray()
      .map(
        ({ woken_ms: wokenMs, held, ...row }) =>
          ({ ...row, wokenMs, held: readHeld(Number(row.id), String(held)) }) as unknown as SlotRow,
      );
  }

  saveSlot(slot: SlotRow): void {
    this.#sql.exec(
      `insert or replace into slot (id, home, state, wake, delivery, entry, fence, given, woken_ms, claimed, held)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      slot.id,
      slot.home,
      slot.state,
      slot.wake,
      slot.delivery,
      slot.entry,
      slot.fence,
      slot.given,
      slot.wokenMs,
      slot.claimed,
      JSON.stringify(Array.from(slot.held, (item) => [item.step, item.index, item.attempts, item.claimedMs])),
    );
  }

  longText(owner: string): string {
    const sql = "select body from long_text where owner = ? order by part";
    return this.#sql
      .exec<{ body: string }>(sql, owner)
      .toArray()
      .map((row) => row.body)
      .join("");
  }

  /** Stores a text in rows of bounded size, writing only the parts that changed. */
  saveLongText(owner: string, text: string): void {
    let part = 0;
    for (const body of parts(text)) {
      const same = "select 1 from long_text where owner = ? and part = ? and body = ?";
      if (this.#sql.exec(same, owner, part, body).toArray().length === 0) {
        this.#sql.exec("insert or replace into long_text (owner, part, body) values (?, ?, ?)", owner, part, body);
      }
      part++;
    }
    this.#sql.exec("delete from long_text where owner = ? and part >= ?", owner, part);
  }

  #putLong(owner: string, text: string): string {
    this.saveLongText(owner, text);
    return "";
  }

  #bodyOf(item: ItemRow): string | null {
    if (item.body === null || item.body.length <= ROW_LIMIT) return item.body;
    this.saveLongText(`item/${item.step}/${item.index}`, item.body);
    return null;
  }
}

function likeness({ step, status, attempts, crashes, dueMs, startedMs, finishedMs }: ItemRow): string {
  return `${step} ${status} ${attempts} ${crashes} ${dueMs} ${startedMs} ${finishedMs}`;
}

function stepOf({ last_action: lastAction, ...row }: { [key: string]: SqlStorageValue }): StepRow {
  return { ...row, lastAction } as unknown as StepRow;
}

function itemOf(step: number, row: { [key: string]: SqlStorageValue }): Omit<ItemRow, "body"> {
  const { idx, status, attempts, crashes, due_ms: dueMs, started_ms: startedMs, finished_ms: finishedMs } = row;
  return { step, index: idx, status, attempts, crashes, dueMs, startedMs, finishedMs } as Omit<ItemRow, "body">;
}

function readHeld(slot: number, held: string): Set<HeldItem> {
  const rows = JSON.parse(held) as [number, number, number, number][];
  return new Set(rows.map(([step, index, attempts, claimedMs]) => ({ slot, step, index, attempts, claimedMs })));
}
