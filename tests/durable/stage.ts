/** A promise that a test opens: how it decides what happens when. */
export interface Gate {
  readonly promise: Promise<void>;
  open(): void;
}

/**
 * Where a test and the flows it runs meet: both live in one isolate. Flows say what they do, and wait at gates that the test
 * opens; a test waits for what it hears. So no test ever sleeps until something has probably happened.
 */
export class Stage {
  readonly said: string[] = [];
  readonly #gates = new Map<string, Gate>();
  #listeners: (() => void)[] = [];

  say(words: string): void {
    this.said.push(words);
    for (const listen of this.#listeners.splice(0)) listen();
  }

  count(words: string): number {
    return this.said.filter((said) => said === words).length;
  }

  /** Resolves once `holds` does, which is asked again whenever something was said. */
  async until(holds: (said: string[]) => boolean): Promise<void> {
    while (!holds(this.said)) await new Promise<void>((resolve) => this.#listeners.push(resolve));
  }

  heard(words: string, times = 1): Promise<void> {
    return this.until(() => this.count(words) >= times);
  }

  gate(name: string): Gate {
    const known = this.#gates.get(name);
    if (known) return known;
    const { promise, resolve } = Promise.withResolvers<void>();
    const gate = { promise, open: resolve };
    this.#gates.set(name, gate);
    return gate;
  }

  open(...names: string[]): void {
    for (const name of names) this.gate(name).open();
  }
}

let current = new Stage();

export function stage(): Stage {
  return current;
}

/** A stage on which nothing was said and all gates are closed. */
export function newStage(): Stage {
  current = new Stage();
  return current;
}
