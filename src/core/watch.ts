import { rawOf } from "./behind.ts";
import { contentOf, isSame } from "./content.ts";
import { partsOf } from "./parts.ts";

interface Watched {
  holders: Set<number>;
  /** What is stored of the object. Undefined where it never changes. */
  content: unknown[] | undefined;
  /** It is not stored yet, or others wrote to it while all that hold it were at rest: `content` waits until one goes on. */
  isStale: boolean;
}

/** The objects that writers hold themselves, and may change unseen: whether they did is found out by comparing. */
export class Watch {
  readonly #held = new Map<number, Set<object>>();
  readonly #watched = new Map<object, Watched>();
  /** Writers that are at work. The others change nothing. */
  readonly #active = new Set<number>();

  get atWork(): ReadonlySet<number> {
    return this.#active;
  }

  /** The writers that hold anything. */
  get holders(): ReadonlyMap<number, unknown> {
    return this.#held;
  }

  /** Whether anybody holds the object. */
  has(object: object): boolean {
    return this.#watched.has(object);
  }

  /** Returns whether that is news. `isStored`: the object is as it is stored, or is known to have changed. */
  hold(object: object, writer: number, isStored: boolean): boolean {
    const held = this.#held.get(writer) ?? new Set();
    if (held.has(object)) return false;
    this.#held.set(writer, held.add(object));
    const watched = this.#watched.get(object) ?? { holders: new Set(), content: undefined, isStale: true };
    if (watched.isStale && isStored) Object.assign(watched, { content: contentOf(object), isStale: false });
    watched.holders.add(writer);
    this.#watched.set(object, watched);
    return true;
  }

  /** The writer goes to work: from now on what it holds is compared with what it is now. */
  wake(writer: number): void {
    if (this.#active.has(writer)) return;
    this.#active.add(writer);
    const stale = [...(this.#held.get(writer) ?? [])].filter((object) => this.#watched.get(object)?.isStale);
    if (stale.length > 0) this.store(stale);
  }

  rest(writer: number): void {
    this.#active.delete(writer);
  }

  /** What the writer holds and is not as it is stored. */
  changed(writer: number): object[] {
    return [...(this.#held.get(writer) ?? [])].filter((object) => {
      const { content: before, isStale } = this.#watched.get(object) as Watched;
      return !isStale && before !== undefined && !isSame(before, contentOf(object) ?? []);
    });
  }

  /** Returns what nobody holds any more. */
  release(writer: number): object[] {
    const held = [...(this.#held.get(writer) ?? [])];
    this.#held.delete(writer);
    this.#active.delete(writer);
    return held.filter((object) => {
      const { holders } = this.#watched.get(object) as Watched;
      holders.delete(writer);
      return holders.size === 0 && this.#watched.delete(object);
    });
  }

  /**
   * The objects are stored as they are. Whoever holds one of them holds what it was given. Where nobody who does is at work that
   * can wait: to look through a large object each time that others have added to it would cost more than they did.
   */
  store(objects: Iterable<object>): void {
    if (this.#watched.size === 0) return;
    const ahead = [...objects];
    while (ahead.length > 0) {
      const object = ahead.pop() as object;
      const watched = this.#watched.get(object);
      if (!watched) continue;
      watched.isStale = ![...watched.holders].some((writer) => this.#active.has(writer));
      if (watched.isStale) continue;
      watched.content = contentOf(object);
      for (const part of partsOf(object)) if (this.#isNews(part, watched.holders)) ahead.push(part);
    }
  }

  /** What stands behind a proxy is not held: the proxy tells what is done to it. */
  #isNews(part: unknown, writers: Iterable<number>): part is object {
    if (typeof part !== "object" || part === null || rawOf(part) !== part) return false;
    return [...writers].filter((writer) => this.hold(part, writer, true)).length > 0;
  }
}
