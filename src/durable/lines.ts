/** Items that wait for the same. Before those that were never begun come those that are pending once more. */
interface Line {
  /** In the order in which they became pending. */
  ready: Set<number>;
  /** The indexes of all its items, in order; nothing where the line is all of the step. */
  members: readonly number[] | null;
  /** Up to where its members were looked at, and how many were never begun. */
  at: number;
  left: number;
  /** Whether later items than some of its own were begun while it had to wait. */
  isBehind: boolean;
  /** Items taken out of it for which permits are asked; of these, those that a limit has answered to wait. */
  asked: number;
  waiting: number;
}

/**
 * The order in which items begin: first those that are pending once more, then as they are numbered; those that join later come
 * as they join. Where their node's limits have keys each key has a line of its own, so that none waits behind another's. An item
 * that was taken is in no line, until it is pending again.
 */
export class Lines {
  /** How many items are in line. */
  size: number;
  /** Items for which permits are asked. */
  readonly asked = new Set<number>();
  readonly #waiting = new Set<number>();
  readonly #begun: Uint8Array;
  readonly #all: readonly Line[];
  readonly #lineOf: Uint32Array | null = null;
  /** Of items that joined: the lines by their keys, and the line of each. */
  readonly #byKey = new Map<string, Line>();
  readonly #joined = new Map<number, Line>();
  /** Up to where items were begun as they are numbered. */
  #cursor = 0;
  /** Lines that need not wait, and have items that come before those at the cursor. */
  readonly #first = new Set<Line>();
  /** Lines that have items, and others before these that have to wait. */
  readonly #stopped = new Set<Line>();

  constructor(total: number, keys: readonly string[] | null) {
    this.size = total;
    this.#begun = new Uint8Array(total);
    if (keys === null) this.#all = [lineOf(null, total)];
    else {
      const numbers = new Map([...new Set(keys)].map((key, number) => [key, number]));
      this.#lineOf = Uint32Array.from(keys, (key) => numbers.get(key) as number);
      const members: number[][] = Array.from(numbers, () => []);
      for (const [index, line] of this.#lineOf.entries()) members[line]?.push(index);
      this.#all = members.map((own) => lineOf(own, own.length));
    }
  }

  /** Whether an item was never begun. */
  isFresh(index: number): boolean {
    return this.#begun[index] === 0;
  }

  /** How many of the asked have to wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The next item of those lines that need not wait. */
  take(): number | undefined {
    if (this.#first.size > 0) {
      for (const line of this.#first) {
        const index = this.#takeFrom(line);
        this.#sort(line);
        if (index !== undefined) return index;
      }
    }
    return this.#takeInOrder();
  }

  /** Items behind those that wait, until each line that has to wait asks for `most`. They must be asked for as they come. */
  *takeBehind(most: number): Generator<number> {
    for (const line of this.#stopped) {
      while (line.asked < most) {
        const index = this.#takeFrom(line);
        if (index === undefined) break;
        yield index;
      }
      this.#sort(line);
    }
  }

  /** An item comes that is not one of those numbered from the start. */
  join(index: number, key: string): void {
    const line = this.#byKey.get(key) ?? lineOf(null, 0);
    this.#byKey.set(key, line);
    this.#joined.set(index, line);
    this.add(index);
  }

  /** A chunk is split: the second half is pending, in the line of the first. */
  split(index: number, from: number): void {
    this.#joined.set(index, this.#of(from));
    this.add(index);
  }

  /** Items that are pending come before all others that are so in their line. */
  hurry(indexes: readonly number[]): void {
    for (const index of indexes.toReversed()) {
      const line = this.#of(index);
      if (line.ready.has(index)) line.ready = new Set([index, ...line.ready]);
    }
  }

  /** An item that joined is settled. It has left its line. */
  part(index: number): void {
    this.#joined.delete(index);
  }

  /** An item is pending once more. */
  add(index: number): void {
    const line = this.#of(index);
    line.ready.add(index);
    this.size++;
    this.#sort(line);
  }

  /** An item begins, or ends, other than by being taken. */
  leave(index: number): void {
    const line = this.#of(index);
    if (line.ready.size > 0 && line.ready.delete(index)) this.size--;
    if (this.isFresh(index)) this.#begin(line, index);
  }

  /** A permit is asked for an item that was taken. */
  ask(index: number): void {
    this.asked.add(index);
    this.#of(index).asked++;
  }

  /** An item that was asked for has to wait. */
  wait(index: number): void {
    if (!this.asked.has(index) || this.#waiting.has(index)) return;
    const line = this.#of(index);
    this.#waiting.add(index);
    line.waiting++;
    this.#sort(line);
  }

  /** An item is not asked for any more. */
  unask(index: number): void {
    const line = this.#of(index);
    this.asked.delete(index);
    line.asked--;
    if (this.#waiting.delete(index)) line.waiting--;
    this.#sort(line);
  }

  #of(index: number): Line {
    return this.#joined.get(index) ?? (this.#all[this.#lineOf?.[index] ?? 0] as Line);
  }

  #takeInOrder(): number | undefined {
    if (this.#lineOf === null && this.#of(0)?.waiting > 0) return undefined;
    while (this.#cursor < this.#begun.length) {
      const index = this.#cursor++;
      if (this.#begun[index] === 1) continue;
      const line = this.#of(index);
      line.isBehind ||= line.waiting > 0;
      if (line.waiting > 0) continue;
      this.#begin(line, index);
      return index;
    }
    return undefined;
  }

  #takeFrom(line: Line): number | undefined {
    for (const index of line.ready) {
      line.ready.delete(index);
      this.size--;
      return index;
    }
    const index = this.#head(line);
    if (index !== undefined) this.#begin(line, index);
    return index;
  }

  /** The first item of a line that was never begun. */
  #head(line: Line): number | undefined {
    while (line.left > 0) {
      const index = line.members ? (line.members[line.at] as number) : line.at;
      if (this.#begun[index] === 0) return index;
      line.at++;
    }
    return undefined;
  }

  #begin(line: Line, index: number): void {
    this.#begun[index] = 1;
    line.left--;
    this.size--;
  }

  /** Puts a line where it belongs. One that is there already keeps its place. */
  #sort(line: Line): void {
    const { ready, left, waiting } = line;
    if (line.isBehind) line.isBehind = (this.#head(line) ?? this.#cursor) < this.#cursor;
    if (waiting === 0 && (ready.size > 0 || line.isBehind)) this.#first.add(line);
    else this.#first.delete(line);
    if (waiting > 0 && ready.size + left > 0) this.#stopped.add(line);
    else this.#stopped.delete(line);
  }
}

function lineOf(members: readonly number[] | null, left: number): Line {
  return { ready: new Set(), members, at: 0, left, isBehind: false, asked: 0, waiting: 0 };
}
