import type { FlowRunObject } from "../../src/durable/run.ts";
import { Store } from "../../src/durable/store.ts";

/** Further away than any heartbeat. */
const FAR_MS = 10_000;

/** Hooks that a run's rows say are to be run: of steps in prep or post, and those whose items are all settled. */
const HOOKS = `select count(*) as count from step where phase in ('prep', 'post') or (phase = 'exec' and total > 0
  and (select count(*) from item where item.step = step.id and item.status in ('succeeded', 'failed')) = total)`;

/** One run, whose object is lost at one of its commits: before that is stored, or right after. */
export class Lost {
  commits = 0;
  isStruck = false;
  /** How far away the alarm was set while hooks were to be run, and nothing nearer was set. */
  readonly farAlarms: string[] = [];
  rowsWritten = 0;
  /** How often a setting of the alarm was looked at while hooks were to be run. */
  looks = 0;
  readonly #at: number;
  readonly #how: "undone" | "stored";

  /** `at`: the commit's number. */
  constructor(at: number, how: "undone" | "stored") {
    this.#at = at;
    this.#how = how;
  }

  isDue(how: "undone" | "stored"): boolean {
    if (this.isStruck || how !== this.#how || this.commits !== this.#at) return false;
    this.isStruck = true;
    return true;
  }

  noteAlarm(sql: SqlStorage, awayMs: number): void {
    if (sql.exec("select 1 from sqlite_master where name = 'run'").toArray().length === 0) return;
    const { state } = sql.exec<{ state: string }>("select state from run").one();
    const { count } = sql.exec<{ count: number }>(HOOKS).one();
    if (JSON.parse(state).status !== "running" || count === 0) return;
    this.looks++;
    if (awayMs > FAR_MS)
      this.farAlarms.push(`${count} hooks to be run, after ${this.commits} commits: alarm ${awayMs}`);
  }
}

const all = new Map<string, Lost>();

export function lose(run: string, lost: Lost): Lost {
  all.set(run, lost);
  return lost;
}

const KILLED = new Error("killed");

class LosingStore extends Store {
  readonly #state: DurableObjectState;
  readonly #lost: Lost;

  constructor(state: DurableObjectState, lost: Lost, onFailure: (error: unknown) => void) {
    super(counted(state.storage, lost), (error) => (error === KILLED ? end(state) : onFailure(error)));
    this.#state = state;
    this.#lost = lost;
  }

  override commit<T>(write: () => T): T {
    this.#lost.commits++;
    const result = super.commit(() => {
      const written = write();
      if (this.#lost.isDue("undone")) throw KILLED;
      return written;
    });
    // What a turn wrote is stored only once the turn is over.
    if (this.#lost.isDue("stored")) void this.#state.storage.sync().then(() => end(this.#state));
    return result;
  }
}

/** Storage that counts the rows that are written. */
function counted(storage: DurableObjectStorage, lost: Lost): DurableObjectStorage {
  const exec = (query: string, ...bindings: unknown[]) => {
    const cursor = storage.sql.exec(query, ...bindings);
    lost.rowsWritten += cursor.rowsWritten;
    return cursor;
  };
  const sql = new Proxy(storage.sql, { get: (_, key) => (key === "exec" ? exec : Reflect.get(storage.sql, key)) });
  return new Proxy(storage, {
    get: (_, key) => {
      if (key === "sql") return sql;
      const own = Reflect.get(storage, key, storage);
      return typeof own === "function" ? own.bind(storage) : own;
    },
  });
}

/** Nothing more of the object runs. The runner does not report this reason. */
function end(state: DurableObjectState): void {
  state.abort("Instance disposed by a test");
}

interface Opening {
  openStore(storage: DurableObjectStorage, onFailure: (error: unknown) => void): Store;
}

/** Watches the objects of runs that are to be lost, until what is returned is called. */
export function watchCommits(FlowRun: typeof FlowRunObject): () => void {
  const prototype = FlowRun.prototype as unknown as Opening;
  const { openStore } = prototype;
  prototype.openStore = function (this: FlowRunObject & { ctx: DurableObjectState }, storage, onFailure) {
    const lost = all.get(this.ctx.id.name ?? "");
    if (!lost) return openStore.call(this, storage, onFailure);
    const setAlarm = storage.setAlarm.bind(storage);
    storage.setAlarm = (at) => {
      lost.noteAlarm(storage.sql, Number(at) - Date.now());
      const set = setAlarm(at);
      // In an object that is lost it fails, which nobody there is left to hear of.
      set.catch(() => undefined);
      return set;
    };
    return new LosingStore(this.ctx, lost, onFailure);
  } as Opening["openStore"];
  return () => {
    prototype.openStore = openStore;
  };
}
