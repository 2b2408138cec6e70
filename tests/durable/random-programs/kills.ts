import type { Observer } from "./build.ts";
import { sleep } from "./memory.ts";

/** The end of something of a run at one moment, as a crash ends it. */
export interface Kill {
  /** How many moments after the kill before, or after the begin. */
  after: number;
  /**
   * The run's object, from within a hook or from outside; or its executors, while they execute: a call to one that is lost on
   * its way there is sent again only after a lease.
   */
  what: "here" | "run" | "executors";
  /** The moment lasts until the kill, if it is a pause. */
  isHeld?: true;
  /** How many more moments others have before the kill. */
  lag?: number;
}

/** How long others are waited for before a kill: perhaps there are none. */
const PATIENCE_MS = 8;

/** Brings a schedule of kills over a run. It counts the moments of everything that happens, the repeated included. */
export class Kills implements Observer {
  moments = 0;
  /** How many have been made. */
  struck = 0;
  readonly #schedule: Kill[];
  readonly #abort: () => void;
  #next = 0;
  #since = 0;
  #isOver = false;

  /** `abort` ends the run's object from within one of its hooks, and never returns. */
  constructor(schedule: Kill[], abort: () => void) {
    this.#schedule = schedule;
    this.#abort = abort;
  }

  hook(): void {
    const kill = this.#moment(false);
    if (kill?.what !== "here") return;
    this.struck++;
    this.#abort();
  }

  exec(): void {
    this.#moment(true);
  }

  readonly pause = async (ms: number, isInExec = false): Promise<void> => {
    const kill = this.#moment(isInExec);
    const due = this.#next;
    if (!kill?.isHeld) return sleep(ms);
    while (this.struck < due && !this.#isOver) await sleep(1);
  };

  /** Strikes when it is time, until the run is over. Called from outside the run. */
  async strike(end: (what: "run" | "executors") => Promise<unknown>): Promise<void> {
    while (!this.#isOver) {
      const kill = this.struck < this.#next ? this.#schedule[this.struck] : undefined;
      if (!kill) {
        await sleep(1);
        continue;
      }
      await this.#letOthersGoOn(kill.lag ?? 0);
      await end(kill.what === "executors" ? "executors" : "run");
      this.struck++;
    }
  }

  /** The run is over: nothing is held any longer. */
  end(): void {
    this.#isOver = true;
  }

  async #letOthersGoOn(moments: number): Promise<void> {
    const enough = this.moments + moments;
    for (let waited = 0; waited < PATIENCE_MS && this.moments < enough; waited++) await sleep(1);
  }

  #moment(isInExec: boolean): Kill | undefined {
    this.moments++;
    const kill = this.#schedule[this.#next];
    if (!kill || this.#since++ < kill.after) return undefined;
    if (kill.what === "executors" && !isInExec) return undefined;
    this.#next++;
    this.#since = 0;
    return kill;
  }
}
