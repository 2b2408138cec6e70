import { NEW_STEP } from "../core/moves.ts";
import { waitingWithin } from "../core/redrive.ts";
import type { EndedBranch, Phase, RunError, Step } from "../core/run.ts";
import type { StoredNeeds } from "./needs.ts";
import { inStatements, type LongText, STATEMENT_TEXT } from "./text.ts";
import type { Wait } from "./waits.ts";

export interface StepRow extends Step {
  /** How many items it has; a flow has none. */
  total: number;
  succeeded: number;
  failed: number;
  /** What prep left on the node for exec, encoded. */
  fields: string | null;
  /** Its one item is in its own row: the node is no batch. */
  isSolo: boolean;
  /** Of a batch with a `batchSize`, as it was when prep ended: how many items one call takes at most. */
  batchSize: number | null;
  /** Of a node that has no exec and waits: what for. */
  wait: Wait | null;
}

/** A step as it is to be stored. Its item and what that needs are given once, when prep is done. */
export interface NewStep {
  row: StepRow;
  /** Whether it has no row yet. */
  isNew: boolean;
  item: string | null;
  needs: StoredNeeds | null;
}

/** The part of a row that is never looked for by itself; what is as in most steps is left out. */
interface Body
  extends Partial<Omit<StepRow, "id" | "node" | "phase" | "total" | "succeeded" | "failed" | "isSolo" | "wait">> {
  /** A list: its nulls outlive a patch. */
  wait?: [signal: string | null, untilMs: number | null] | null;
  /** Of a node that is no batch: its item, encoded; empty where it is in long_text. */
  item?: string;
  needs?: StoredNeeds;
}

type Row = { [column: string]: SqlStorageValue };

const COLUMNS = "id, node, phase, total, succeeded, failed, body";

/** The SQL of a run's steps. Many are written at once, with one statement for all that differ in little. */
export class StepStore {
  readonly #sql: SqlStorage;
  readonly #longText: LongText;

  constructor(sql: SqlStorage, longText: LongText) {
    this.#sql = sql;
    this.#longText = longText;
  }

  /** The steps that are under way. */
  open(): StepRow[] {
    return this.#read(`select ${COLUMNS} from step where phase not in ('done', 'stopped') order by id`);
  }

  /** The steps that were stopped with their branch. */
  stopped(): StepRow[] {
    return this.#read(`select ${COLUMNS} from step where phase = 'stopped' order by id`);
  }

  /** The stopped steps that will go on, beside those that are open. */
  waiting(open: readonly StepRow[]): StepRow[] {
    return open.some(({ waiting }) => waiting.length > 0) ? waitingWithin(open, this.stopped()) : [];
  }

  /** Writes steps as they are now; those that are done say only that, and how it went. */
  save(steps: Iterable<NewStep>, nowMs: number): void {
    for (const alike of Map.groupBy(steps, kindOf).values()) {
      const { row, isNew } = alike[0] as NewStep;
      if (row.phase === "done" && !isNew) this.#finish(row, alike, nowMs);
      else for (const some of inStatements(alike, textOf)) this.#write(row, some, nowMs);
    }
  }

  /** How branches of batch flows ended. */
  saveEnds(ends: readonly EndedBranch[]): void {
    const sql = `insert or replace into branch (step, idx, action, end_step, error)
      select value->>0, value->>1, value->>2, value->>3, value->>4 from json_each(?)`;
    const rows = ends.map(({ step, index, action, end, error }) => [step, index, action, end, writeError(error)]);
    for (const some of inStatements(rows, ([, , action, , error]) => String(action).length + String(error).length + 40))
      this.#sql.exec(sql, JSON.stringify(some));
  }

  /** How the branches of a batch flow ended, in order. */
  ends(step: number): EndedBranch[] {
    return this.#ends("step = ? order by idx", step);
  }

  /** The branches that failed of all batch flows. */
  failedEnds(): EndedBranch[] {
    return this.#ends("error is not null");
  }

  hasFailedBranch(): boolean {
    return this.#sql.exec("select 1 from branch where error is not null limit 1").toArray().length > 0;
  }

  /** Branches have not ended after all. */
  forgetEnds(step: number, indexes: readonly number[]): void {
    const sql = "delete from branch where step = ? and idx in (select value from json_each(?))";
    this.#sql.exec(sql, step, JSON.stringify(indexes));
  }

  /** Forgets one step, or all with a later number, and the ends of their branches. */
  forget(which: "=" | ">", step: number): void {
    this.#sql.exec(`delete from step where id ${which} ?`, step);
    this.#sql.exec(`delete from branch where step ${which} ?`, step);
    this.#longText.deleteOf(["fields", "params"], which, step);
  }

  /** Puts a step, all of it, to where it now stands. Its item, and what that needs, stay. */
  restore(row: StepRow): void {
    const body = { ...EMPTY, ...JSON.parse(this.#bodyOf({ row, isNew: false, item: null, needs: null })) };
    this.#sql.exec(
      "update step set phase = ?, total = ?, succeeded = ?, failed = ?, finished_ms = null, body = json_patch(body, ?) where id = ?",
      row.phase,
      row.total,
      row.succeeded,
      row.failed,
      JSON.stringify(body),
      row.id,
    );
  }

  /** An item of a stopped step has ended with a result after all. */
  countLate(id: number): void {
    this.#sql.exec("update step set succeeded = succeeded + 1 where id = ?", id);
  }

  /** The post of a stopped step has ended after all. */
  saveLateAction(id: number, lateAction: string): void {
    this.#sql.exec("update step set body = json_patch(body, ?) where id = ?", JSON.stringify({ lateAction }), id);
  }

  #ends(which: string, ...bindings: SqlStorageValue[]): EndedBranch[] {
    const sql = `select step, idx as "index", action, end_step as "end", error from branch where ${which}`;
    const rows = this.#sql.exec<Row>(sql, ...bindings).toArray();
    return rows.map(({ error, ...row }) => ({ ...row, error: error && JSON.parse(String(error)) })) as EndedBranch[];
  }

  /** The nodes of steps. */
  nodesOf(steps: readonly number[]): Map<number, string> {
    const sql = "select id, node from step where id in (select value from json_each(?))";
    const rows = this.#sql.exec<{ id: number; node: string }>(sql, JSON.stringify(steps)).toArray();
    return new Map(rows.map(({ id, node }) => [id, node]));
  }

  /** The nodes of those steps that were stopped, and whether their items are executed in chunks. */
  stoppedNodes(steps: readonly number[]): Map<number, { node: string; isChunked: boolean }> {
    const sql = `select id, node, body->>'$.batchSize' is not null as chunked from step
      where phase = 'stopped' and id in (select value from json_each(?))`;
    const rows = this.#sql.exec<{ id: number; node: string; chunked: number }>(sql, JSON.stringify(steps)).toArray();
    return new Map(rows.map(({ id, node, chunked }) => [id, { node, isChunked: chunked === 1 }]));
  }

  /** Sums over the steps whose items are all settled. */
  settledCounts(): { total: number; succeeded: number; failed: number } {
    const sum = (column: string) => `coalesce(sum(${column}), 0) as ${column}`;
    const sql = `select ${["total", "succeeded", "failed"].map(sum)} from step where phase in ('post', 'done', 'stopped')`;
    return this.#sql.exec<{ total: number; succeeded: number; failed: number }>(sql).one();
  }

  /** Steps that have items, in order, from `from` on. */
  *withItems(node: string | null, from: number): Generator<StepRow> {
    const sql = `select ${COLUMNS} from step where total > 0 and id >= ?1 and (?2 is null or node = ?2) order by id`;
    for (const row of this.#sql.exec<Row>(sql, from, node)) yield this.#stepOf(row);
  }

  /** How the steps of each node went that are over. */
  overByNode(): { node: string; steps: number; total: number; succeeded: number; failed: number }[] {
    const sum = (column: string) => `sum(${column}) as ${column}`;
    const sql = `select node, count(*) as steps, ${["total", "succeeded", "failed"].map(sum)} from step
      where phase in ('done', 'stopped') group by node`;
    return this.#sql
      .exec<{ node: string; steps: number; total: number; succeeded: number; failed: number }>(sql)
      .toArray();
  }

  /** Steps by number, from `from` on, with the times when they began and ended. */
  *timed(from: number): Generator<StepRow & { startedMs: number | null; finishedMs: number | null }> {
    const sql = `select ${COLUMNS}, started_ms, finished_ms from step where id >= ? order by id`;
    for (const { started_ms, finished_ms, ...row } of this.#sql.exec<Row>(sql, from)) {
      yield { ...this.#stepOf(row), startedMs: started_ms as number | null, finishedMs: finished_ms as number | null };
    }
  }

  /** The latest step of one of these nodes. */
  latest(nodes: string[]): StepRow | undefined {
    const named = "node in (select value from json_each(?))";
    return this.#read(`select ${COLUMNS} from step where ${named} order by id desc limit 1`, JSON.stringify(nodes))[0];
  }

  step(id: number): StepRow | undefined {
    return this.#read(`select ${COLUMNS} from step where id = ?`, id)[0];
  }

  #read(sql: string, ...bindings: SqlStorageValue[]): StepRow[] {
    return this.#sql
      .exec<Row>(sql, ...bindings)
      .toArray()
      .map((row) => this.#stepOf(row));
  }

  #finish({ total, succeeded, failed }: StepRow, steps: readonly NewStep[], nowMs: number): void {
    this.#sql.exec(
      `update step set phase = 'done', total = ?, succeeded = ?, failed = ?, finished_ms = ?
       where id in (select value from json_each(?))`,
      total,
      succeeded,
      failed,
      nowMs,
      JSON.stringify(steps.map(({ row }) => row.id)),
    );
  }

  /** All of one node, in one phase, with the same counts. */
  #write({ node, phase, total, succeeded, failed }: StepRow, steps: readonly NewStep[], nowMs: number): void {
    const bodies: { [id: number]: string } = {};
    for (const step of steps) bodies[step.row.id] = this.#bodyOf(step);
    const isNew = steps[0]?.isNew;
    // Of a step that has its item already that is kept.
    const update = `on conflict (id) do update set phase = excluded.phase, total = excluded.total,
      succeeded = excluded.succeeded, failed = excluded.failed, finished_ms = excluded.finished_ms,
      body = json_patch(body, excluded.body)`;
    this.#sql.exec(
      `insert into step (id, node, phase, total, succeeded, failed, started_ms, finished_ms, body)
       select key, ?, ?, ?, ?, ?, ?, ?, value from json_each(?) where true ${isNew ? "" : update}`,
      node,
      phase,
      total,
      succeeded,
      failed,
      nowMs,
      phase === "done" || phase === "stopped" ? nowMs : null,
      JSON.stringify(bodies),
    );
  }

  #bodyOf({ row, item, needs }: NewStep): string {
    const body: Body = { branch: row.branch, parent: row.parent };
    if (row.visit !== 1) body.visit = row.visit;
    if (row.lastAction !== null) body.lastAction = row.lastAction;
    if (row.params !== null) body.params = this.#kept(`params/${row.id}`, row.params);
    if (row.end !== null) body.end = row.end;
    if (row.fields !== null) body.fields = this.#kept(`fields/${row.id}`, row.fields);
    if (row.failedBranches > 0) body.failedBranches = row.failedBranches;
    if (row.waiting.length > 0 || row.branches > 0) body.waiting = row.waiting;
    if (row.stoppedIn !== null) body.stoppedIn = row.stoppedIn;
    if (row.batchSize !== null) body.batchSize = row.batchSize;
    if (row.wait !== null) body.wait = [row.wait.signal, row.wait.untilMs];
    if (row.lateAction !== null) body.lateAction = row.lateAction;
    if (row.branches > 0) Object.assign(body, { branches: row.branches, begun: row.begun, ended: row.ended });
    if (item !== null) body.item = this.#kept(`page/${row.id}/0`, item);
    if (needs !== null) body.needs = needs;
    return JSON.stringify(body);
  }

  /** A text that does not fit into a statement with others is kept as a long one, and is empty where it belongs. */
  #kept(owner: string, text: string): string {
    if (text.length <= STATEMENT_TEXT) return text;
    this.#longText.put(owner, text);
    return "";
  }

  #stepOf({ id, node, phase, total, succeeded, failed, body }: Row): StepRow {
    const counts = { total: Number(total), succeeded: Number(succeeded), failed: Number(failed) };
    const { item, needs: _, branch = "", parent = null, wait: stored, ...rest } = JSON.parse(String(body)) as Body;
    const wait = stored ? { signal: stored[0], untilMs: stored[1] } : null;
    const common = { id: Number(id), node: String(node), phase: phase as Phase, isSolo: item !== undefined };
    const row: StepRow = { ...USUAL, branch, parent, ...rest, wait, ...common, ...counts };
    if (row.fields === "") row.fields = this.#longText.get(`fields/${row.id}`);
    if (row.params === "") row.params = this.#longText.get(`params/${row.id}`);
    return row;
  }
}

/** Steps of a kind differ in nothing but what `#write` writes of each. */
function kindOf({ row, isNew }: NewStep): string {
  return `${row.phase} ${row.total} ${row.succeeded} ${row.failed} ${isNew} ${row.node}`;
}

function textOf({ row, item }: NewStep): number {
  const lengths = [row.fields?.length ?? 0, row.params?.length ?? 0, item?.length ?? 0].filter(
    (length) => length <= STATEMENT_TEXT,
  );
  return lengths.reduce((sum, length) => sum + length, 200);
}

function writeError(error: RunError | null): string | null {
  return error && JSON.stringify(error);
}

const { phase: _, ...UNTOUCHED } = NEW_STEP;
const USUAL = { ...UNTOUCHED, visit: 1, params: null, fields: null, batchSize: null, wait: null } satisfies Body;

/** In a patch `null` takes out what is there. */
const EMPTY = Object.fromEntries(Object.keys(USUAL).map((key) => [key, null]));
