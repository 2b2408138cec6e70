import { DurableObject } from "cloudflare:workers";
import type { CronState, IndexEntry, IndexPage, IndexPlace, IndexQuery } from "./index-entry.ts";
import { IndexStore } from "./index-store.ts";
import { Sockets } from "./sockets.ts";

/**
 * Lists all runs. Each run tells it of itself, at least once and perhaps late: it may say what is no longer so, and it is never
 * asked what is so.
 */
export class RunIndexObject extends DurableObject {
  readonly #store: IndexStore;
  readonly #sockets: Sockets;
  /** What those who look on are still to be told: bodies by id, and nothing for a run that was removed. */
  readonly #changed = new Map<string, string | null>();

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env);
    this.#store = new IndexStore(ctx.storage);
    this.#sockets = new Sockets(ctx, () => this.#news());
  }

  /** Somebody looks at the list from now on, by a WebSocket. */
  override async fetch(): Promise<Response> {
    // What was noted for those who looked on before is of no use to the next.
    if (!this.#sockets.areOpen) this.#changed.clear();
    return this.#sockets.accept({ runs: [] });
  }

  /** Whoever looks on only listens. */
  override webSocketMessage(): void {}

  override webSocketClose(socket: WebSocket): void {
    this.#sockets.left(socket);
  }

  #news(): object | null {
    if (this.#changed.size === 0) return null;
    const runs = [...this.#changed.values()].filter((body) => body !== null).map((body) => JSON.parse(body));
    const removed = [...this.#changed].filter(([, body]) => body === null).map(([id]) => id);
    this.#changed.clear();
    return { runs, removed };
  }

  #tell(id: string, body: string | null): void {
    if (!this.#sockets.areOpen) return;
    this.#changed.set(id, body);
    this.#sockets.changed();
  }

  /**
   * Ignored where something newer is stored. A put that comes after the run was removed makes an entry of a run that is no more:
   * to know better, every run that ever was would have to be remembered. Such an entry's `wakeMs` passes like that of a run that
   * was forgotten, so whoever asks for `overdue` finds it, finds no run, and removes it again.
   *
   * Returns whether somebody looks on, and wants to hear of it often.
   */
  put(entry: IndexEntry): boolean {
    if (this.#store.put(entry)) this.#tell(entry.id, entry.body);
    return this.#sockets.areOpen;
  }

  /** Forgets a run, but not a later one of the same id. */
  remove(id: string, createdMs: number): void {
    if (this.#store.remove(id, createdMs)) this.#tell(id, null);
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
