/**
 * Items that wait for the same: in order those that were never begun, before them those that are pending once more, in the
 * order in which they became so.
 */
export class Line {
  readonly ready = new Set<number>();
  /** Items taken out of the line for which permits were asked and not yet granted. */
  asked = 0;
  /** How many of these a limit has answered that they have to wait. */
  waiting = 0;
  #left: number;
  readonly #begun: Uint8Array;
  /** Nothing where the line is all of the step. */
  readonly #members: readonly number[] | null;
  #at = 0;

  constructor(begun: Uint8Array, members: readonly number[] | null) {
    this.#begun = begun;
    this.#members = members;
    this.#left = members?.length ?? begun.length;
  }

  get size(): number {
    return this.ready.size + this.#left;
  }

  take(): number | undefined {
    const [again] = this.ready;
    if (again !== undefined) {
      this.ready.delete(again);
      return again;
    }
    return this.#takeFresh();
  }

  /** An item was begun other than by being taken: it is found so in the rows. */
  leave(index: number): void {
    if (this.#begun[index] === 1) return;
    this.#begun[index] = 1;
    this.#left--;
  }

  #takeFresh(): number | undefined {
    while (this.#left > 0) {
      const index = this.#members ? (this.#members[this.#at++] as number) : this.#at++;
      if (this.#begun[index] === 1) continue;
      this.leave(index);
      return index;
    }
    return undefined;
  }
}

/** A step's lines: one, or one for each key where its node's limits have keys, so that none waits behind another's. */
export class Lines {
  readonly all: readonly Line[];
  readonly #begun: Uint8Array;
  readonly #lineOf: Uint32Array | null = null;

  constructor(total: number, keys: Iterable<string> | null) {
    this.#begun = new Uint8Array(total);
    if (keys === null) {
      this.all = [new Line(this.#begun, null)];
      return;
    }
    const members = new Map<string, { line: number; items: number[] }>();
    this.#lineOf = new Uint32Array(total);
    let index = 0;
    for (const key of keys) {
      const { line, items } = members.get(key) ?? { line: members.size, items: [] };
      members.set(key, { line, items });
      items.push(index);
      this.#lineOf[index++] = line;
    }
    this.all = [...members.values()].map(({ items }) => new Line(this.#begun, items));
  }

  of(index: number): Line {
    return this.all[this.#lineOf?.[index] ?? 0] as Line;
  }

  /** Whether an item was never begun. */
  isFresh(index: number): boolean {
    return this.#begun[index] === 0;
  }

  get size(): number {
    return this.all.reduce((sum, { size }) => sum + size, 0);
  }
}
