import { rawOf } from "./behind.ts";
import { contentOf, isSame } from "./content.ts";
import { partsOf } from "./parts.ts";

interface Watched {
  holders: Set<number>;
  /** What is stored of the object. Undefined before it is stored, and where it never changes. */
  content: unknown[] | undefined;
}

/** The objects that writers hold themselves, and may change unseen: whether they did is found out by comparing. */
export class Watch {
  readonly #held = new Map<number, Set<object>>();
  readonly #watched = new Map<object, Watched>();

  /** Whether anybody holds the object. */
  has(object: object): boolean {
    return this.#watched.has(object);
  }

  /** Returns whether that is news. `isStored`: the object is as it is stored, or is known to have changed. */
  hold(object: object, writer: number, isStored: boolean): boolean {
    const held = this.#held.get(writer) ?? new Set();
    if (held.has(object)) return false;
    this.#held.set(writer, held.add(object));
    const watched = this.#watched.get(object) ?? {
      holders: new Set(),
      content: isStored ? contentOf(object) : undefined,
    };
    watched.holders.add(writer);
    this.#watched.set(object, watched);
    return true;
  }

  /** What the writer holds and is not as it is stored. */
  changed(writer: number): object[] {
    return [...(this.#held.get(writer) ?? [])].filter((object) => {
      const before = this.#watched.get(object)?.content;
      return before !== undefined && !isSame(before, contentOf(object) ?? []);
    });
  }

  /** Returns what nobody holds any more. */
  release(writer: number): object[] {
    const held = [...(this.#held.get(writer) ?? [])];
    this.#held.delete(writer);
    return held.filter((object) => {
      const { holders } = this.#watched.get(object) as Watched;
      holders.delete(writer);
      return holders.size === 0 && this.#watched.delete(object);
    });
  }

  /** The objects are stored as they are. Whoever holds one of them holds what it was given. */
  store(objects: Iterable<object>): void {
    if (this.#watched.size === 0) return;
    const ahead = [...objects];
    while (ahead.length > 0) {
      const object = ahead.pop() as object;
      const watched = this.#watched.get(object);
      if (!watched) continue;
      watched.content = contentOf(object);
      for (const part of partsOf(object)) if (this.#isNews(part, watched.holders)) ahead.push(part);
    }
  }

  /** What stands behind a proxy is not held: the proxy tells what is done to it. */
  #isNews(part: unknown, writers: Iterable<number>): part is object {
    if (typeof part !== "object" || part === null || rawOf(part) !== part) return false;
    return [...writers].filter((writer) => this.hold(part, writer, true)).length > 0;
  }

  /** The whole graph was stored. What is not in it is stored no more. */
  forget(isStored: (object: object) => boolean): void {
    for (const [object, watched] of this.#watched) if (!isStored(object)) watched.content = undefined;
  }
}
