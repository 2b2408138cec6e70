import { Waiters } from "./waiters.ts";

/** Those who look at a run and wait for it to change, or to end. */
export class Audience {
  readonly #finish = new Waiters();
  readonly #changes = new Waiters();
  /** Rises with whatever may have changed what is seen of the run. A later life of the object begins beyond it. */
  #pulse = Date.now();

  /** Names this moment: with it somebody can ask whether something has happened since. */
  get pulse(): number {
    return this.#pulse;
  }

  /** What is seen of the run may be other than it was. */
  changed(): void {
    this.#pulse++;
    this.#changes.wake();
  }

  /** The run has ended, or is gone. */
  ended(): void {
    this.#finish.wake();
    this.changed();
  }

  change(waitMs: number): Promise<void> {
    return this.#changes.wait(waitMs);
  }

  end(waitMs: number): Promise<void> {
    return this.#finish.wait(waitMs);
  }
}
