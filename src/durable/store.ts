import type { GraphShape } from "../core/graph.ts";
import { NEW_RUN, type RunState } from "../core/run.ts";
import { Checkpoints } from "./checkpoint.ts";
import { ChunkStore } from "./chunk-store.ts";
import { commit } from "./commit.ts";
import { DeliveryStore } from "./delivery-store.ts";
import { EventStore } from "./event-store.ts";
import type { Trigger } from "./index-entry.ts";
import { ItemStore } from "./item-store.ts";
import { JournalStore } from "./journal-store.ts";
import { MIGRATIONS, SCHEMA } from "./schema.ts";
import { SignalStore } from "./signal-store.ts";
import { StepStore } from "./step-store.ts";
import { LongText } from "./text.ts";
import { TryStore } from "./try-store.ts";

/** How often in a row the run's object was lost while a hook was under way, or about to be: by step and hook. */
export interface Losses {
  [stepAndHook: string]: number;
}

export interface RunRow {
  id: string;
  flow: string;
  version: string | null;
  shape: GraphShape;
  inputDigest: string | null;
  createdMs: number;
  lives: number;
  losses: Losses;
  state: RunState;
  startedBy: Trigger;
  /** The URL that is told when the run has ended. */
  callback: string | null;
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
  readonly steps: StepStore;
  readonly items: ItemStore;
  readonly chunks: ChunkStore;
  readonly tries: TryStore;
  readonly journal: JournalStore;
  readonly events: EventStore;
  readonly longText: LongText;
  readonly signals: SignalStore;
  readonly deliveries: DeliveryStore;
  readonly checkpoints: Checkpoints;
  #revision = 0;

  constructor(storage: DurableObjectStorage, onFailure: (error: unknown) => void) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#onFailure = onFailure;
    this.longText = new LongText(storage.sql);
    this.steps = new StepStore(storage.sql, this.longText);
    this.items = new ItemStore(storage.sql, this.longText);
    this.chunks = new ChunkStore(storage.sql);
    this.tries = new TryStore(storage.sql);
    this.journal = new JournalStore(storage.sql, this.longText);
    this.events = new EventStore(storage.sql);
    this.signals = new SignalStore(storage.sql);
    this.deliveries = new DeliveryStore(storage.sql);
    this.checkpoints = new Checkpoints(this.longText, this.journal, this.steps);
  }

  commit<T>(write: () => T): T {
    return commit(this.#storage, this.#onFailure, write);
  }

  exists(): boolean {
    return this.#sql.exec("select 1 from sqlite_master where type = 'table' and name = 'run'").toArray().length > 0;
  }

  /** Brings the tables of a run that an earlier version of this code started up to date. Returns whether they were not. */
  migrate(): boolean {
    const has = "select 1 from pragma_table_info(?) where name = ?";
    let isOlder = false;
    for (const { table, column, sql } of MIGRATIONS) {
      if (this.#sql.exec(has, table, column).toArray().length > 0) continue;
      this.#sql.exec(sql);
      isOlder = true;
    }
    return isOlder;
  }

  create(run: Omit<RunRow, "losses">): void {
    this.#sql.exec(SCHEMA);
    this.#sql.exec(
      `insert into run (id, flow, version, shape, input_digest, created_ms, lives, state, started_by, callback)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      run.id,
      run.flow,
      run.version,
      JSON.stringify(run.shape),
      run.inputDigest,
      run.createdMs,
      run.lives,
      JSON.stringify(run.state),
      JSON.stringify(run.startedBy),
      run.callback,
    );
  }

  run(): RunRow {
    const row = this.#sql.exec<{ [key: string]: SqlStorageValue }>("select * from run").one();
    this.#revision = Number(row.revision);
    return {
      id: String(row.id),
      flow: String(row.flow),
      version: row.version as string | null,
      shape: JSON.parse(String(row.shape)),
      inputDigest: row.input_digest as string | null,
      createdMs: Number(row.created_ms),
      lives: Number(row.lives),
      losses: JSON.parse(String(row.losses)),
      state: { ...NEW_RUN, ...JSON.parse(String(row.state)) },
      startedBy: JSON.parse(String(row.started_by)),
      callback: row.callback as string | null,
    };
  }

  /** Rises whenever the state is written: of two things that are said of the run, it tells the later. */
  get revision(): number {
    return this.#revision;
  }

  saveState(state: RunState): void {
    this.#sql.exec("update run set state = ?, revision = ?", JSON.stringify(state), ++this.#revision);
  }

  /** From now on there is no such run, whatever of it is still stored. */
  markDeleted(): void {
    this.#sql.exec("update run set is_deleted = 1");
  }

  /** What a deleted run is told by; nothing where the run was not deleted. */
  deletedRun(): { id: string; createdMs: number } | undefined {
    const sql = 'select id, created_ms as "createdMs" from run where is_deleted = 1';
    return this.#sql.exec<{ id: string; createdMs: number }>(sql).toArray()[0];
  }

  saveLives(lives: number): void {
    this.#sql.exec("update run set lives = ?", lives);
  }

  tokens(): number {
    return this.#sql.exec<{ tokens: number }>("select tokens from run").one().tokens;
  }

  saveTokens(tokens: number): void {
    this.#sql.exec("update run set tokens = ?", tokens);
  }

  saveLosses(losses: Losses): void {
    this.#sql.exec("update run set losses = ?", JSON.stringify(losses));
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
