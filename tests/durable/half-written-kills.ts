import { sleep } from "../../src/core/attempt.ts";
import { Journal } from "../../src/core/journal.ts";
import { JournalStore } from "../../src/durable/journal-store.ts";
import { LongText } from "../../src/durable/text.ts";
import { type HalfWritten, halfWritten, type Pauses, polling } from "./half-written.ts";
import { STEPS, type Stored, type StoredStep } from "./half-written-stored.ts";

// Where the test and the runs that it kills meet: both live in one isolate.

/** The end of a run's object, or of the executor that has an item in exec. */
export interface Kill {
  what: "run" | "executor";
  /** After so many moments of a life. */
  after: number;
  /** Whether the hook at whose moment it comes waits for it. */
  isHeld: boolean;
  /** How many of the other hooks that wait at that moment go on before, of a hundred. */
  lag: number;
}

/** What a new object of a run found stored, before anything else was done there; or that it could not be read. */
export type Found = Stored | { error: string };

/** One run that is killed again and again: each time at a moment that was chosen before, by counting what its hooks do. */
export class Killed {
  /** For each object that was loaded since the run was started. */
  readonly found: Found[] = [];
  readonly struck = { run: 0, executor: 0 };
  /** How many hooks had written and waited when their object was killed, in all. */
  halfWay = 0;
  readonly #schedule: readonly Kill[];
  #next = 0;
  /** Whether the moment of the next kill has come. */
  #isDue = false;
  #moments = 0;
  #pauses = 0;
  /** Hooks of this life that wait. */
  #waiting = 0;
  /** The kill that is due comes at this moment. */
  #strikeAt = 0;
  /** The item that was in exec when the kill of its executor came due. */
  #item: Item = { step: 0, index: 0 };
  #isOver = false;

  constructor(schedule: readonly Kill[]) {
    this.#schedule = schedule;
  }

  /** The object was loaded: what the last one had under way has gone with it. */
  begin(sql: SqlStorage): void {
    this.found.push(readStored(sql));
    this.#moments = 0;
    this.#waiting = 0;
  }

  /** What a hook waits for between its writes. */
  async inHook(): Promise<void> {
    await this.#moment({ of: "run", others: this.#waiting++ });
    await sleep(this.#nextMs());
    await this.#moment({ of: "run", others: --this.#waiting });
  }

  async inExec(item: Item): Promise<void> {
    await this.#moment({ of: "executor", others: 0, item });
    await sleep(this.#nextMs());
  }

  /** Strikes when it is time, until the run is over. Called from outside the run. */
  async strike(kill: (what: Kill["what"], item: Item) => Promise<unknown>): Promise<void> {
    for (; !this.#isOver; await scheduler.wait(1)) {
      if (!this.#isDue || this.#moments < this.#strikeAt) continue;
      const { what } = this.#schedule[this.#next] as Kill;
      if (what === "run") this.halfWay += this.#waiting;
      else this.#moments = 0;
      await kill(what, this.#item);
      this.struck[what]++;
      this.#next++;
      this.#isDue = false;
    }
  }

  /** The run is over: nothing is held any longer. */
  end(): void {
    this.#isOver = true;
  }

  async #moment({ of, others, item }: Moment): Promise<void> {
    this.#moments++;
    const kill = this.#schedule[this.#next];
    if (kill?.what !== of || this.#isDue || this.#moments < kill.after) return;
    this.#isDue = true;
    // Each of the others brings a moment when it goes on, so this one comes, though all they do then waits for the held one.
    this.#strikeAt = item ? 0 : this.#moments + Math.floor((kill.lag / 100) * others);
    if (item) this.#item = item;
    for (const next = this.#next; (kill.isHeld || item) && this.#next === next && !this.#isOver; ) await sleep(1);
  }

  #nextMs(): number {
    const pause = this.#pauses++;
    return pause % 60 === 0 ? LONG_MS : (7 * pause) % 4;
  }
}

const LONG_MS = 20;

/** When a hook has written and begins to wait, or goes on; or an exec begins. */
interface Moment {
  of: Kill["what"];
  /** How many other hooks wait. */
  others: number;
  item?: Item;
}

interface Item {
  step: number;
  index: number;
}

/** `shared` and steps as an object that is loaded now finds them. What fails here must not fail the object. */
function readStored(sql: SqlStorage): Found {
  try {
    const { snapshot, entries } = new JournalStore(sql, new LongText(sql)).read();
    const { shared } = Journal.read(snapshot, entries).root as { shared: HalfWritten };
    return { shared, steps: sql.exec(STEPS).toArray() as unknown as StoredStep[] };
  } catch (error) {
    return { error: String(error) };
  }
}

/** The runs that are killed, by name and by id. */
const byName = new Map<string, Killed>();
const byId = new Map<string, Killed>();

/** A run with a name of its own, before it is started. */
export function newKilled(name: string, schedule: readonly Kill[]): Killed {
  const killed = new Killed(schedule);
  byName.set(name, killed);
  return killed;
}

export function watch(id: string, killed: Killed): void {
  byId.set(id, killed);
}

/** The object of a run is being loaded. */
export function noteLife({ id, storage }: DurableObjectState): void {
  byId.get(id.name ?? "")?.begin(storage.sql);
}

const pauses: Pauses = {
  inHook: async (_, run) => byName.get(run)?.inHook(),
  inExec: async (context) => {
    const [id = "", ...item] = context?.idempotencyKey.split("/") ?? [];
    const [step = 0, index = 0] = item.map(Number);
    await byId.get(id)?.inExec({ step, index });
  },
};

export const halfWrittenFlows = {
  "half-written": () => halfWritten(pauses),
  "half-written, ten at a time": () => halfWritten(pauses, 10),
  "half-written, polled": () => polling(pauses),
};
