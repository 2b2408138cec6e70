import { expect } from "vitest";
import { Journal } from "../../src/core/journal.ts";
import { rawOf } from "../../src/core/recorder.ts";
import { begin, type Shared } from "./journal-world.ts";

/** A journal beside its stored form: what is read of the latter has to be the graph as it was when it was last written. */
export class Stored<S> {
  readonly journal: Journal;
  snapshot: string;
  entries: string[] = [];
  readonly #writers = new Set<number>();

  constructor(shared: S) {
    this.journal = new Journal({ shared, prep: {} });
    this.snapshot = this.journal.snapshot();
  }

  /** `shared` as a writer sees it. */
  shared(writer = 1): S {
    this.#writers.add(writer);
    return this.journal.view(writer)(this.raw);
  }

  get raw(): S {
    return (this.journal.root as { shared: S }).shared;
  }

  /** Writes an entry when no hook is under way, and checks that the whole graph can be read. Returns the entry's text. */
  write(): string {
    for (const writer of this.#writers) this.journal.check(writer);
    const entry = this.journal.write();
    if (entry !== null) this.entries.push(entry);
    expectAlike(this.read(), this.raw);
    return entry ?? "";
  }

  compact(): void {
    this.snapshot = this.journal.snapshot();
    this.entries = [];
    expectAlike(this.read(), this.raw);
  }

  read(): S {
    return (Journal.read(this.snapshot, this.entries).root as { shared: S }).shared;
  }
}

/** Does the same through a view and to a plain twin, with an entry after each change, and fails unless both end alike. */
export function expectKept(...changes: ((shared: Shared) => unknown)[]): void {
  const twin = begin();
  const stored = new Stored(begin());
  for (const change of changes) {
    change(twin);
    change(stored.shared());
    stored.write();
  }
  expectAlike(stored.raw, twin);
  expectAlike(stored.read(), twin);
}

// Assignments and deletions as expressions.

export function put<T extends object>(object: T, key: string, value: unknown): T {
  return Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}

export function hide(object: object, key: string): object {
  return Object.defineProperty(object, key, { enumerable: false });
}

export function remove(object: object, key: string): boolean {
  return Reflect.deleteProperty(object, key);
}

/** Fails unless two graphs are alike in everything that is stored: values, kinds, order, and what is an alias of what. */
export function expectAlike(actual: unknown, expected: unknown): void {
  expect(outline(actual)).toEqual(outline(expected));
}

/** A graph as lines, one for each object in the order in which they are met, in which an object is the number of its line. */
function outline(root: unknown): string[] {
  const numbers = new Map<object, number>();
  const name = (given: unknown): string => {
    const value = rawOf(given);
    if (typeof value !== "object" || value === null) return scalar(value);
    if (!numbers.has(value)) numbers.set(value, numbers.size);
    return `#${numbers.get(value)}`;
  };
  const lines = [name(root)];
  // A Map goes on to what is added to it meanwhile.
  for (const object of numbers.keys()) lines.push(lineOf(object, name));
  return lines;
}

function scalar(value: unknown): string {
  if (Object.is(value, -0)) return "-0";
  return typeof value === "string" ? JSON.stringify(value) : `${typeof value} ${String(value)}`;
}

function lineOf(object: object, name: (value: unknown) => string): string {
  const pairs = (entries: Iterable<[unknown, unknown]>) =>
    Array.from(entries, ([key, value]) => `${name(key)}: ${name(value)}`).join(", ");
  if (Array.isArray(object)) return `array ${object.length} ${pairs(elementsOf(object))}`;
  if (object instanceof Map) return `Map ${pairs(object)}`;
  if (object instanceof Set) return `Set ${Array.from(object, name).join(", ")}`;
  if (object instanceof Date) return `Date ${object.getTime()}`;
  if (object instanceof ArrayBuffer) return `buffer ${new Uint8Array(object).join()}`;
  if (ArrayBuffer.isView(object)) return `view ${object.byteOffset} ${object.byteLength} ${name(object.buffer)}`;
  if (object instanceof Error) return `Error ${pairs(Object.entries(fieldsOf(object)))}`;
  if (isText(object)) return `${Object.prototype.toString.call(object)} ${object}`;
  return `${Object.getPrototypeOf(object) === null ? "bare" : "object"} ${pairs(Object.entries(object))}`;
}

/** Without the names that an array may have beside its indexes, which are not stored. */
function elementsOf(array: unknown[]): [string, unknown][] {
  return Object.entries(array).filter(([key]) => Number(key) < array.length);
}

function isText(object: object): boolean {
  return object instanceof URL || object instanceof URLSearchParams || object instanceof RegExp;
}

/** Without the stack: that of a twin leads to another line. */
function fieldsOf(error: Error): object {
  const { name, message, cause, stack, ...own } = error;
  return { name: error.name, message: error.message, cause: error.cause, ...own };
}
