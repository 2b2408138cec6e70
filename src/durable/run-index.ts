import { DurableObject } from "cloudflare:workers";
import { IndexStore } from "./index-store.ts";

/** What started a run. */
export interface Trigger {
  type: "http" | "cron" | "webhook";
  /** The cron's or the webhook's name. */
  name: string | null;
}

/** What a run tells the index of itself. */
export interface IndexEntry {
  id: string;
  flow: string;
  status: string;
  trigger: Trigger;
  createdMs: number;
  /** Rises with each change of the run's state: what comes late must not overwrite what is newer. */
  revision: number;
  /** When the run wants to be awake next; long after that it must have been forgotten by the platform. */
  wakeMs: number | null;
  /** The run as a list shows it: JSON text. */
  body: string;
}

/** The place of a run in the list. */
export interface IndexPlace {
  createdMs: number;
  id: string;
}

export interface IndexQuery {
  flow: string | null;
  status: string | null;
  trigger: Trigger["type"] | null;
  triggerName: string | null;
  /** Created at or after, and before. */
  fromMs: number | null;
  toMs: number | null;
  limit: number;
  /** The last run of the page before. */
  after: IndexPlace | null;
}

export interface IndexPage {
  /** The bodies, newest first. */
  runs: string[];
  /** Where the next page begins; nothing where no run was left. */
  next: IndexPlace | null;
}

/** What is remembered of a cron. */
export interface CronState {
  lastMs: number;
  lastRun: string;
  skippedMs: number | null;
}

/**
 * Lists all runs. Each run tells it of itself, at least once and perhaps late: it may say what is no longer so, and it is never
 * asked what is so.
 */
export class RunIndexObject extends DurableObject {
  readonly #store: IndexStore;

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env);
    this.#store = new IndexStore(ctx.storage);
  }

  /**
   * Ignored where something newer is stored. A put that comes after the run was removed makes an entry of a run that is no more:
   * to know better, every run that ever was would have to be remembered. Such an entry's `wakeMs` passes like that of a run that
   * was forgotten, so whoever asks for `overdue` finds it, finds no run, and removes it again.
   */
  put(entry: IndexEntry): void {
    this.#store.put(entry);
  }

  /** Forgets a run, but not a later one of the same id. */
  remove(id: string, createdMs: number): void {
    this.#store.remove(id, createdMs);
  }

  list(query: IndexQuery): IndexPage {
    return this.#store.list(query);
  }

  /** Runs that wanted to be awake before a time, the longest overdue first. */
  overdue(beforeMs: number, limit: number): IndexPlace[] {
    return this.#store.overdue(beforeMs, limit);
  }

  crons(): { [name: string]: CronState } {
    return this.#store.crons();
  }

  /** A cron is about to start a run: remembered first, so that the next one can ask for it. A time before the last is not. */
  fired(name: string, scheduledMs: number, run: string): void {
    this.#store.fired(name, scheduledMs, run);
  }

  /** A cron started no run, as its last one was not over. One that never started any has nothing to skip for. */
  skipped(name: string, scheduledMs: number): void {
    this.#store.skipped(name, scheduledMs);
  }
}
