import { rawOf } from "./behind.ts";
import { standInFor } from "./content.ts";
import { isIndex } from "./parts.ts";

/** How a key was written. What is `inserted` was not there before. */
export type Change = "set" | "inserted" | "deleted";

/** An array of a length lost so many elements from `start` on, and got so many new ones in their place. */
export type Splice = [length: number, start: number, deleted: number, inserted: number];

/**
 * `[id, key]` deletes, `[id, key, value]` sets, `[-id, standIn]` is the object's whole content, and `[id, "splice", …]` makes
 * room in an array, or less of it.
 */
export type Operation = [id: number, keyOrStandIn: unknown, ...values: unknown[]];

interface KeyChange {
  writer: number;
  /** Whether the key was there when the object was last stored. */
  wasThere: boolean;
  wasDeleted: boolean;
}

/** An array of which so much was set is written as a whole. */
const MOST_OF_ARRAY = 0.8;
/** So much may be moved about in an array, beyond as much as it is long, before it is no longer followed. */
const LEAST_EFFORT = 1_000;
const EFFORT_PER_SPLICE = 10;

/**
 * What was written of one object since it was last stored. Only which keys, not what: an entry has the values of the moment it
 * is written.
 */
export class Changes {
  /** Inserted keys are in the order in which the object has them. */
  protected keys = new Map<unknown, KeyChange>();
  protected rewriter: number | undefined;

  get isWhole(): boolean {
    return this.rewriter !== undefined;
  }

  /** Who last wrote what leads from the object to a part of it, or a key that no object can be stored with. */
  writerOf(object: object, part: unknown): number | undefined {
    for (const [key, { writer }] of this.keys) {
      const leads = rawOf(key) === part || (has(object, key) && rawOf(valueAt(object, key)) === part);
      if (leads || typeof key === "symbol") return writer;
    }
    return this.rewriter;
  }

  record(key: unknown, change: Change, writer: number): void {
    const before = this.keys.get(key);
    if (change === "inserted") this.keys.delete(key);
    this.keys.set(key, {
      writer,
      wasThere: before?.wasThere ?? change !== "inserted",
      wasDeleted: change === "deleted" || before?.wasDeleted === true,
    });
  }

  /** The whole content counts as written. */
  rewrite(writer: number): void {
    this.rewriter = writer;
  }

  /** What an entry says of the object. */
  operations(object: object, id: number): Operation[] {
    return this.isWhole ? [[-id, standInFor(object)]] : this.keyOperations(object, id);
  }

  protected keyOperations(object: object, id: number): Operation[] {
    const operations: Operation[] = [];
    for (const [key, { wasThere, wasDeleted }] of this.keys) {
      const isThere = has(object, key);
      if (wasThere && (wasDeleted || !isThere)) operations.push([id, key]);
      if (isThere) operations.push([id, key, valueAt(object, key)]);
    }
    return operations;
  }
}

function has(object: object, key: unknown): boolean {
  if (object instanceof Map || object instanceof Set) return object.has(key) || object.has(rawOf(key));
  return Object.prototype.propertyIsEnumerable.call(object, key as PropertyKey);
}

/** A key of a Map may have been a proxy when it was written. */
function valueAt(object: object, key: unknown): unknown {
  if (object instanceof Map) return object.get(object.has(key) ? key : rawOf(key));
  return object instanceof Set ? true : Reflect.get(object, key as PropertyKey);
}

/** What was written of an array: first all that moved elements about, then the elements that were set, where they are now. */
export class ArrayChanges extends Changes {
  readonly #splices: Splice[] = [];
  #hasGrown = false;
  #effort = 0;

  /** `length` was set. */
  resize(before: number, now: number, writer: number): void {
    if (now < before) this.splice([before, now, before - now, 0], writer);
    else this.#hasGrown = true;
  }

  splice(splice: Splice, writer: number): void {
    const [length, start, deleted, inserted] = splice;
    if (!this.#extends(splice)) this.#splices.push(splice);
    this.#forget(start, deleted);
    const isInside = start + deleted < length;
    if (isInside) this.#move(start, inserted - deleted);
    this.#effort += inserted + EFFORT_PER_SPLICE + (isInside ? this.keys.size : 0);
    if (this.#effort > length + LEAST_EFFORT) this.rewrite(writer);
    for (let index = start; index < start + inserted; index++) this.record(String(index), "set", writer);
  }

  #forget(start: number, count: number): void {
    const isGone = (key: unknown) => Number(key) >= start && Number(key) < start + count;
    if (count > this.keys.size) this.keys = new Map([...this.keys].filter(([key]) => !isGone(key)));
    else for (let index = start; index < start + count; index++) this.keys.delete(String(index));
  }

  /** Elements taken one after another from one end of the array are one splice. */
  #extends([, start, deleted, inserted]: Splice): boolean {
    const last = this.#splices.at(-1);
    if (!last || inserted > 0 || last[3] > 0 || (start !== last[1] && start !== last[1] - deleted)) return false;
    last[1] = start;
    last[2] += deleted;
    return true;
  }

  #move(start: number, by: number): void {
    const moved = Array.from(
      this.keys,
      ([key, change]) => [Number(key) < start ? key : String(Number(key) + by), change] as const,
    );
    this.keys = new Map(moved);
  }

  protected override keyOperations(array: unknown[], id: number): Operation[] {
    const changes = [...this.keys].filter(([key]) => typeof key === "string" && isIndex(key)) as [string, KeyChange][];
    if (changes.length >= array.length * MOST_OF_ARRAY) return [[-id, standInFor(array)]];
    const isThere = ([key]: [string, KeyChange]) => Object.hasOwn(array, key);
    const isLengthImplied = !this.#hasGrown && changes.every(isThere);
    return [
      ...this.#splices.map((splice): Operation => [id, "splice", ...splice]),
      ...changes.map((change): Operation => (isThere(change) ? [id, change[0], array[+change[0]]] : [id, change[0]])),
      ...(isLengthImplied ? [] : [[id, "length", array.length] satisfies Operation]),
    ];
  }
}
