import type { IndexPort } from "./news.ts";
import type { Store } from "./store.ts";
import { HEARTBEAT_MS, type WakeUp } from "./wakeup.ts";

const LONGEST_PAUSE_MS = 60_000;

/**
 * Deletes a run: that it is to be is stored first, then the index is told, which has no other way to know, then all that is stored
 * goes. What a kill leaves undone the alarm comes back to.
 */
export class Removal {
  readonly #storage: DurableObjectStorage;
  readonly #store: Store;
  readonly #wakeUp: WakeUp;
  readonly #index: IndexPort;
  readonly #onFailure: (error: unknown) => void;
  #going: Promise<void> | undefined;
  #failures = 0;

  constructor(
    storage: DurableObjectStorage,
    store: Store,
    wakeUp: WakeUp,
    index: IndexPort,
    onFailure: (error: unknown) => void,
  ) {
    this.#storage = storage;
    this.#store = store;
    this.#wakeUp = wakeUp;
    this.#index = index;
    this.#onFailure = onFailure;
  }

  /** Whether a run that is deleted is stored still. */
  get isPending(): boolean {
    return this.#store.exists() && this.#store.deletedRun() !== undefined;
  }

  /** Resolves when all is gone; or, where the index could not be told, when the alarm is set for that. */
  finish(): Promise<void> {
    this.#going ??= this.#finish().finally(() => {
      this.#going = undefined;
    });
    return this.#going;
  }

  /** An index that cannot be reached is not to meet all at once that have waited for it. */
  get #pauseMs(): number {
    return Math.min(HEARTBEAT_MS * 2 ** this.#failures, LONGEST_PAUSE_MS);
  }

  async #finish(): Promise<void> {
    const run = this.#store.exists() ? this.#store.deletedRun() : undefined;
    if (!run) return;
    this.#wakeUp.rang();
    this.#wakeUp.setFor({ latestMs: Date.now() + this.#pauseMs, dueMs: null }, Date.now());
    try {
      await this.#index.remove(run.id, run.createdMs);
    } catch (error) {
      this.#failures++;
      console.warn({ message: "The index was not told of a deleted run yet", run: run.id, error: String(error) });
      return;
    }
    this.#wakeUp.rang();
    try {
      await this.#storage.deleteAll();
    } catch (error) {
      this.#onFailure(error);
    }
  }
}
