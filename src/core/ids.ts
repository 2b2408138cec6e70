import { rawOf } from "./behind.ts";
import { isNodeBuffer, partsOf } from "./parts.ts";

/**
 * The numbers by which entries name objects. They are not stored: whoever writes a graph and whoever reads it come upon its
 * objects in the same order, and number them alike.
 */
export class Ids {
  readonly #ids = new WeakMap<object, number>();
  #next = 1;

  of(object: object): number | undefined {
    return this.#ids.get(object);
  }

  has(object: object): boolean {
    return this.#ids.has(object);
  }

  /** From now on the object is a new one wherever it turns up. */
  forget(object: object): void {
    this.#ids.delete(object);
  }

  /** Numbers every object that can be reached from `values` without passing one that has a number, and returns them in order. */
  number(values: Iterable<unknown>): object[] {
    return fresh(values, this, (object) => {
      this.#ids.set(object, this.#next++);
      // The reader has a buffer there that is the view's own.
      if (isNodeBuffer(object)) this.#next++;
    });
  }
}

/** Every object that can be reached from `values` without passing one that is `known`, each of which `onFound` makes known. */
export function fresh(
  values: Iterable<unknown>,
  known: { has(object: object): boolean },
  onFound: (object: object) => void,
): object[] {
  const found: object[] = [];
  const ahead = [...values];
  while (ahead.length > 0) {
    const object = rawOf(ahead.pop());
    if (typeof object !== "object" || object === null || known.has(object)) continue;
    onFound(object);
    found.push(object);
    for (const part of partsOf(object)) ahead.push(part);
  }
  return found;
}
