import type { Operation, Splice } from "./changes.ts";
import { flatten, isPlain, unflatten } from "./codec.ts";
import { overwrite, put } from "./content.ts";
import { Ids } from "./ids.ts";
import { partsOf } from "./parts.ts";

// An entry of a journal is text as the codec writes it: a list of operations, in which an object that the reader has stands as
// its number. New objects are written where they are first met.

/** Throws devalue's error where a value cannot be stored. */
export function writeEntry(operations: Operation[], ids: Ids): string {
  const seen = new Set<object>();
  const unfit = {
    has: (object: object) => ids.has(object) || seen.has(object),
    add: (object: object) => seen.add(object),
  };
  if (isPlain(operations, unfit as Set<object>)) return `j${JSON.stringify(operations)}`;
  const Known = (value: unknown) => (typeof value === "object" && value !== null ? ids.of(value) : undefined);
  return `d${flatten(operations, { Known, View: (value) => writeView(value, ids) })}`;
}

interface View {
  kind: "Uint8Array";
  buffer: ArrayBuffer;
  byteOffset: number;
  length: number;
}

/** devalue cannot read a view on a buffer that is written as something else. */
function writeView(value: unknown, ids: Ids): View | undefined {
  if (!ArrayBuffer.isView(value) || !ids.has(value.buffer)) return undefined;
  const { buffer, byteOffset, byteLength, length = byteLength } = value as Uint8Array<ArrayBuffer>;
  return { kind: Object.prototype.toString.call(value).slice(8, -1) as View["kind"], buffer, byteOffset, length };
}

function readView({ kind, buffer, byteOffset, length }: View): object {
  return new globalThis[kind](buffer, byteOffset, length);
}

/** What an entry's operations hold, whose objects are numbered once the entry is written, or read. */
export function valuesIn(operations: Operation[]): unknown[] {
  return operations.flatMap(([id, ...values]) => (id > 0 ? values : partsOfStandIn(values[0])));
}

function partsOfStandIn(standIn: unknown): unknown[] {
  return typeof standIn === "object" && standIn !== null ? partsOf(standIn) : [];
}

/** A graph as entry after entry makes it. */
export class Reading {
  readonly ids = new Ids();
  /** By number, which none has that is 0. */
  readonly #objects: object[];

  constructor(root: object) {
    this.#objects = [root];
    this.#meet([root]);
  }

  apply(entry: string): void {
    const operations = this.#read(entry);
    for (const operation of operations) this.#perform(operation);
    this.#meet(valuesIn(operations));
  }

  #read(entry: string): Operation[] {
    if (entry[0] === "j") return JSON.parse(entry.slice(1));
    const Known = (id: number) => this.#objects[id];
    return unflatten(entry.slice(1), { Known, View: readView }) as Operation[];
  }

  #perform([id, ...values]: Operation): void {
    const object = this.#objects[Math.abs(id)] as object;
    if (id < 0) overwrite(object, values[0]);
    else if (Array.isArray(object) && values[0] === "splice") splice(object, values.slice(1) as Splice);
    else if (values.length === 1) remove(object, values[0]);
    else set(object, values[0], values[1]);
  }

  #meet(values: unknown[]): void {
    for (const object of this.ids.number(values)) this.#objects.push(object);
  }
}

/** The new elements are set by the operations that follow. */
function splice(array: unknown[], [length, start, deleted, inserted]: Splice): void {
  array.length = length;
  // An array of holes may be longer than anything could go through one by one.
  if (start + deleted === length) array.length = start + inserted;
  else array.splice(start, deleted, ...new Array(inserted));
}

function remove(object: object, key: unknown): void {
  if (object instanceof Map || object instanceof Set) object.delete(key);
  else Reflect.deleteProperty(object, key as PropertyKey);
}

function set(object: object, key: unknown, value: unknown): void {
  if (object instanceof Map) object.set(key, value);
  else if (object instanceof Set) object.add(key);
  else if (Array.isArray(object)) Reflect.set(object, key as PropertyKey, value);
  else put(object, key as PropertyKey, value);
}
