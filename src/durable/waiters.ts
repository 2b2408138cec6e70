/** Calls that wait for something to happen to a run. */
export class Waiters {
  readonly #ends = new Set<() => void>();

  /** Resolves when it happens, or after `waitMs`. */
  wait(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#ends.delete(end);
        resolve();
      };
      const timer = setTimeout(end, waitMs);
      this.#ends.add(end);
    });
  }

  /** It has happened. */
  wake(): void {
    for (const end of this.#ends) end();
  }
}
