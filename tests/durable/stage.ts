/**
 * Where a test and the flows it runs meet: both live in one isolate. Flows say what they do, and wait at gates that the test
 * opens; a test waits for what it hears. So no test ever sleeps until something has probably happened.
 *
 * Waiting is looking again and again: one object's code must not resolve another's promise.
 */
export class Stage {
  readonly said: string[] = [];
  readonly #open = new Set<string>();
  #isOver = false;

  say(words: string): void {
    this.said.push(words);
  }

  count(words: string): number {
    return this.said.filter((said) => said === words).length;
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await scheduler.wait(1);
  }

  heard(words: string, times = 1): Promise<void> {
    return this.until(() => this.count(words) >= times);
  }

  /** Waits until the test has opened the gate, or, where `patienceMs` is given, so long at most. */
  async pass(gate: string, patienceMs?: number): Promise<void> {
    const isOpen = () => this.#isOver || this.#open.has(gate);
    if (patienceMs === undefined) await this.until(isOpen);
    else if (!isOpen()) await scheduler.wait(patienceMs);
  }

  open(...gates: string[]): void {
    for (const gate of gates) this.#open.add(gate);
  }

  end(): void {
    this.#isOver = true;
  }
}

let current = new Stage();

export function stage(): Stage {
  return current;
}

/** A stage on which nothing was said and all gates are closed. Whoever still waits on the last one may go. */
export function newStage(): Stage {
  current.end();
  current = new Stage();
  return current;
}
