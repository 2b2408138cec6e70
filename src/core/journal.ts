import { DevalueError } from "devalue";
import { rawOf } from "./behind.ts";
import { ArrayChanges, Changes, type Operation } from "./changes.ts";
import { decode, encode, flatten, refusal } from "./codec.ts";
import { contentOf } from "./content.ts";
import { Reading, valuesIn, writeEntry } from "./entry.ts";
import { fresh, Ids } from "./ids.ts";
import { partsOf } from "./parts.ts";
import { Lens, type Recorder, replaceProxies, walkRaw } from "./recorder.ts";
import { Watch } from "./watch.ts";

/** A written value that cannot be stored. */
export class UnstorableError extends TypeError {
  /** Who wrote it; 0 where that is not known. */
  readonly writer: number;
  constructor(message: string, writer: number) {
    super(message);
    this.writer = writer;
  }
}

/**
 * A graph of values whose changes are recorded, so that storing them costs what was written and not the size of the graph.
 *
 * Writers see the graph through proxies, which tell what they write. What a writer can reach without one (a value it made and
 * put in, a Date) is compared with what is stored of it.
 *
 * @example
 * const journal = new Journal({ shared: {} });
 * const start = journal.snapshot();
 * journal.view(1)(journal.root).shared.title = "Durable";
 * const entry = journal.write();
 * Journal.read(start, [entry]).root; // { shared: { title: "Durable" } }
 */
export class Journal {
  /** The objects themselves, which only the journal writes to. */
  readonly root: object;
  #ids: Ids;
  #changes = new Map<object, Changes>();
  /** Who wrote something that is not stored. */
  readonly #writers = new Set<number>();
  readonly #lenses = new Map<number, Lens>();
  readonly #watch = new Watch();

  constructor(root: object) {
    this.root = root;
    this.#ids = new Ids();
    this.#ids.number([root]);
  }

  /** The graph as it was after the last of the entries that were written since the snapshot. */
  static read(snapshot: string, entries: Iterable<string>): Journal {
    const root = decode(snapshot) as object;
    const reading = new Reading(root);
    for (const entry of entries) reading.apply(entry);
    const journal = new Journal(root);
    journal.#ids = reading.ids;
    return journal;
  }

  /** Shows values of the graph to a writer, whose proxy of an object is always the same until it closes. */
  view(writer: number): <T>(value: T) => T {
    const lens = this.#lenses.get(writer) ?? new Lens(writer, this.#recorder);
    this.#lenses.set(writer, lens);
    this.#watch.wake(writer);
    return lens.wrap;
  }

  readonly #recorder: Recorder = {
    wrote: (object, key, change, writer) => this.#changesOf(object, writer).record(key, change, writer),
    resized: (array, before, writer) => this.#moving(array, writer).resize(before, array.length, writer),
    spliced: (array, splice, writer) => this.#moving(array, writer).splice(splice, writer),
    rewrote: (object, writer) => this.#changesOf(object, writer).rewrite(writer),
    handedOut: (object, writer) => this.#hold(object, writer),
    mayHoldProxies: (object) => this.#watch.has(object) || !this.#ids.has(object),
    takenIn: (object, writer) => this.#takeIn(object, writer),
  };

  #changesOf<T extends object>(object: T, writer: number): T extends unknown[] ? ArrayChanges : Changes {
    const changes = this.#changes.get(object) ?? (Array.isArray(object) ? new ArrayChanges() : new Changes());
    this.#changes.set(object, changes);
    for (const each of [writer, ...this.#handsOf(writer)]) this.#writers.add(each);
    return changes as T extends unknown[] ? ArrayChanges : Changes;
  }

  /** What was moved from where to where says nothing if the array was also written unseen: who holds it may have done so. */
  #moving(array: unknown[], writer: number): ArrayChanges {
    const changes = this.#changesOf(array, writer);
    if (this.#watch.has(array)) changes.rewrite(writer);
    return changes;
  }

  /** An object of the graph that nobody was to hold any more counts as written: nobody knows what was done to it meanwhile. */
  #takeIn(value: unknown, writer: number): void {
    this.#hold(value, writer, (object) => {
      if (!this.#watch.has(object) && contentOf(object)) this.#recorder.rewrote(object, writer);
    });
  }

  /** `onStored` is told of each object of the graph. */
  #hold(value: unknown, writer: number, onStored?: (object: object) => void): void {
    for (const each of this.#handsOf(writer)) {
      walkRaw(value, (object) => {
        const isStored = this.#ids.has(object);
        if (isStored) onStored?.(object);
        return this.#watch.hold(object, each, isStored);
      });
    }
  }

  /** Who may be writing through a writer's proxies. A frozen object keeps the proxies in it when their writer has closed. */
  #handsOf(writer: number): Iterable<number> {
    return this.#lenses.has(writer) ? [writer] : this.#watch.atWork;
  }

  /** Records what the writer changed of the objects that it holds. It also holds what it put in. */
  check(writer: number): void {
    for (const object of this.#watch.changed(writer)) {
      this.#recorder.rewrote(object, writer);
      for (const part of partsOf(object)) if (rawOf(part) === part) this.#takeIn(part, writer);
    }
  }

  /** Looks for changes of what the writer holds; it makes none before it views the graph again. */
  rest(writer: number): void {
    this.check(writer);
    this.#watch.rest(writer);
  }

  /** Whether something that the writer wrote is not in an entry yet. */
  hasWritten(writer: number): boolean {
    this.check(writer);
    return this.#writers.has(writer);
  }

  /** Whether any of these writers has. There may be thousands of them, and few that wrote, or hold what they can change unseen. */
  haveWritten(writers: ReadonlySet<number>): boolean {
    for (const writer of this.#writers) if (writers.has(writer)) return true;
    const { holders } = this.#watch;
    const [few, many] = holders.size < writers.size ? [holders, writers] : [writers, holders];
    for (const writer of few.keys()) if (many.has(writer) && this.hasWritten(writer)) return true;
    return false;
  }

  /** Looks for changes of what the writer holds for the last time. */
  close(writer: number): void {
    this.check(writer);
    for (const object of this.#watch.release(writer)) replaceProxies(object);
    this.#lenses.delete(writer);
  }

  /** Whether any object that can be reached from the value is in the graph, or stands for one that is. */
  touches(value: unknown): boolean {
    const seen = new Set<object>();
    let isKnown = false;
    const isOver = (object: object) => {
      isKnown ||= this.#ids.has(object);
      return isKnown || seen.has(object);
    };
    const reached = fresh([value], { has: isOver }, (object) => seen.add(object));
    if (isKnown || reached.length === 0) return isKnown;
    const written = this.#newIn(this.#operations());
    return reached.some((object) => written.has(object));
  }

  /** The objects that have come into the graph since it was stored. */
  #newIn(operations: Operation[]): Set<object> {
    const seen = new Set<object>();
    const isOver = (object: object) => this.#ids.has(object) || seen.has(object);
    fresh(valuesIn(operations), { has: isOver }, (object) => seen.add(object));
    return seen;
  }

  /** Everything that was recorded since the last time, as text, or null if nothing was. Throws an UnstorableError. */
  write(): string | null {
    const left = new Map<object, Changes>();
    const text = this.#writeEntry(left);
    this.#changes = left;
    this.#writers.clear();
    return text;
  }

  /** `left` is given what is not written. */
  #writeEntry(left: Map<object, Changes>): string | null {
    try {
      const operations = this.#operations(left);
      const text = operations.length === 0 ? null : writeEntry(operations, this.#ids);
      this.#stored(operations);
      return text;
    } catch (error) {
      const outOfReach = error instanceof DevalueError && left.size === 0 ? this.#outOfReach() : left;
      if (outOfReach.size === left.size) throw error;
      for (const [object, changes] of outOfReach) left.set(object, changes);
      return this.#writeEntry(left);
    }
  }

  #stored(operations: Operation[]): void {
    const found = this.#ids.number(valuesIn(operations));
    this.#settle(found);
    this.#watch.store(this.#changes.keys());
  }

  /** The objects are stored now. What a writer put in that has closed since may hold proxies of it, which are of no use. */
  #settle(found: object[]): void {
    this.#watch.store(found);
    for (const object of found) if (!this.#watch.has(object)) replaceProxies(object);
  }

  /** What an entry has to say. An object without a number is new, and written with what it is in, or in nothing any more. */
  #operations(except?: Map<object, Changes>): Operation[] {
    return [...this.#changes].flatMap(([object, changes]) => {
      const id = this.#ids.of(object);
      return id === undefined || except?.has(object) ? [] : changes.operations(object, id);
    });
  }

  /**
   * What was written of objects that the graph does not hold any more, though it may again: it can wait until then. An entry that
   * cannot be stored for anything else cannot be stored.
   */
  #outOfReach(): Map<object, Changes> {
    const unstorable = this.#unstorable();
    if (unstorable) throw unstorable;
    const reached = new Set<object>();
    fresh([this.root], reached, (object) => reached.add(object));
    return new Map([...this.#changes].filter(([object]) => !reached.has(object)));
  }

  /** The whole graph as text, with which entries before it are not needed. Throws an UnstorableError. */
  snapshot(): string {
    const text = this.#encodeRoot();
    this.#ids = new Ids();
    this.#settle(this.#ids.number([this.root]));
    this.#changes = new Map();
    this.#writers.clear();
    return text;
  }

  #encodeRoot(): string {
    try {
      return encode(this.root, "");
    } catch (error) {
      throw this.#unstorable() ?? error;
    }
  }

  #unstorable(): UnstorableError | undefined {
    try {
      flatten(this.root);
      return undefined;
    } catch (error) {
      if (!(error instanceof DevalueError)) throw error;
      return new UnstorableError(refusal(error, ""), this.#writerOf(error.value));
    }
  }

  /** Who last wrote what leads to a value of the graph, as near to the value as there is something written. */
  #writerOf(value: unknown): number {
    const holders = this.#holders();
    for (let part = value, holder = value as object | undefined; holder; part = holder, holder = holders.get(part)) {
      const writer = this.#changes.get(holder)?.writerOf(holder, part);
      if (writer !== undefined) return writer;
    }
    return 0;
  }

  /** What holds what, nearest to the root. */
  #holders(): Map<unknown, object> {
    const holders = new Map<unknown, object>();
    const seen = new Set<object>();
    for (const object of fresh([this.root], seen, (met) => seen.add(met))) {
      for (const part of partsOf(object).map(rawOf)) if (!holders.has(part)) holders.set(part, object);
    }
    holders.delete(this.root);
    return holders;
  }
}
