import { DurableObject } from "cloudflare:workers";
import type { CronState, IndexEntry, IndexPage, IndexPlace, IndexQuery } from "./index-entry.ts";
import { IndexStore } from "./index-store.ts";

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

  /**
   * A cron has started a run. With `after` it is about to, which is remembered first, so that the next one can ask for it; and only
   * where `after` was the last one, or where `null` none was. Returns whether it is remembered.
   */
  fired(name: string, scheduledMs: number, run: string, after?: string | null): boolean {
    return this.#store.fired(name, scheduledMs, run, after);
  }

  /** The run that a cron was about to start is started. */
  started(name: string, run: string): void {
    this.#store.started(name, run);
  }

  /** A cron started no run, as its last one was not over. One that never started any has nothing to skip for. */
  skipped(name: string, scheduledMs: number): void {
    this.#store.skipped(name, scheduledMs);
  }
}
