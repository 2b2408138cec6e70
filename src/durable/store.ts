import type { GraphShape } from "../core/graph.ts";
import type { RunState, Step } from "../core/run.ts";
import { commit } from "./commit.ts";
import { ItemStore } from "./item-store.ts";
import { ADDED, SCHEMA } from "./schema.ts";
import { LongText } from "./text.ts";

export interface RunRow {
  id: string;
  flow: string;
  shape: GraphShape;
  inputDigest: string | null;
  createdMs: number;
  lives: number;
  state: RunState;
}

export interface StepRow extends Step {
  total: number;
  succeeded: number;
  failed: number;
  losses: number;
  fields: string | null;
}

/** A permit, by the name of the object that granted it and its number there. */
export interface PermitId {
  account: string;
  id: number;
}

/** An item as a slot was given it. */
export interface HeldItem {
  slot: number;
  step: number;
  index: number;
  attempts: number;
  claimedMs: number;
  /** One of each limit of its node. */
  permits: readonly PermitId[];
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
  readonly items: ItemStore;
  readonly longText: LongText;

  constructor(storage: DurableObjectStorage, onFailure: (error: unknown) => void) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#onFailure = onFailure;
    this.longText = new LongText(storage.sql);
    this.items = new ItemStore(storage.sql, this.longText);
  }

  commit<T>(write: () => T): T {
    return commit(this.#storage, this.#onFailure, write);
  }

  exists(): boolean {
    return this.#sql.exec("select 1 from sqlite_master where type = 'table' and name = 'run'").toArray().length > 0;
  }

  /** Brings the tables of a run that an earlier version of this code started up to date. */
  migrate(): void {
    const sql = "select 1 from pragma_table_info('run') where name = 'lives'";
    if (this.#sql.exec(sql).toArray().length === 0) this.#sql.exec(ADDED);
  }

  create(run: RunRow): void {
    this.#sql.exec(SCHEMA);
    this.#sql.exec(
      "insert into run (id, flow, shape, input_digest, created_ms, lives, state) values (?, ?, ?, ?, ?, ?, ?)",
      run.id,
      run.flow,
      JSON.stringify(run.shape),
      run.inputDigest,
      run.createdMs,
      run.lives,
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
      lives: Number(row.lives),
      state: JSON.parse(String(row.state)),
    };
  }

  saveState(state: RunState): void {
    this.#sql.exec("update run set state = ?", JSON.stringify(state));
  }

  saveLives(lives: number): void {
    this.#sql.exec("update run set lives = ?", lives);
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
  *stepsWithItems(node: string | null, from: number): Generator<StepRow> {
    const sql = "select * from step where total > 0 and id >= ?1 and (?2 is null or node = ?2) order by id";
    for (const row of this.#sql.exec<{ [key: string]: SqlStorageValue }>(sql, from, node)) yield stepOf(row);
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
      JSON.stringify(writeHeld(slot.held)),
    );
  }
}

function stepOf({ last_action: lastAction, ...row }: { [key: string]: SqlStorageValue }): StepRow {
  return { ...row, lastAction } as unknown as StepRow;
}

type HeldRun = [
  step: number,
  first: number,
  count: number,
  attempts: number,
  claimedMs: number,
  ...permits: [account: string, first: number][],
];

/** Items that follow each other, as most do that are given at once, are written as one run; their permits follow each other too. */
function writeHeld(held: Iterable<HeldItem>): HeldRun[] {
  const runs: HeldRun[] = [];
  for (const item of held) {
    const last = runs.at(-1);
    if (last && isNext(last, item)) last[2]++;
    else runs.push(runOf(item));
  }
  return runs;
}

function runOf({ step, index, attempts, claimedMs, permits }: HeldItem): HeldRun {
  return [step, index, 1, attempts, claimedMs, ...permits.map(({ account, id }) => [account, id] as [string, number])];
}

function isNext(run: HeldRun, item: HeldItem): boolean {
  const isSame = run[0] === item.step && run[3] === item.attempts && run[4] === item.claimedMs;
  return isSame && run[1] + run[2] === item.index && haveNext(run, item.permits);
}

/** Whether an item's permits follow those that the last of the run has. */
function haveNext(run: HeldRun, permits: readonly PermitId[]): boolean {
  if (permits.length === 0) return true;
  return permits.every(({ account, id }, at) => {
    const [name, first] = (run[5 + at] as [string, number] | undefined) ?? [];
    return name === account && first === id - run[2];
  });
}

function readHeld(slot: number, text: string): Set<HeldItem> {
  const held = new Set<HeldItem>();
  for (const [step, first, count, attempts, claimedMs, ...permits] of JSON.parse(text) as HeldRun[]) {
    for (let at = 0; at < count; at++) {
      const own = permits.map(([account, id]) => ({ account, id: id + at }));
      held.add({ slot, step, index: first + at, attempts, claimedMs, permits: own });
    }
  }
  return held;
}
