import { describe, expect, it } from "vitest";
import { Journal } from "../../src/core/journal.ts";
import { put, remove, Stored } from "./journal-twin.ts";
import { begin } from "./journal-world.ts";

describe("an entry", () => {
  it("is plain JSON where JSON keeps all of it, and knows objects by number", () => {
    const stored = new Stored(begin());
    stored.shared().a = "text";
    expect(stored.write()).toBe('j[[3,"a","text"]]');
    stored.shared().b = { list: [1, { c: null }] };
    expect(stored.write()).toBe('j[[3,"b",{"list":[1,{"c":null}]}]]');
    stored.shared().c = [stored.shared().b];
    expect(stored.write()).toMatch(/^d.*Known/);
  });

  it("is none where nothing was written, or only what was there", () => {
    const stored = new Stored(begin());
    const shared = stored.shared();
    expect(stored.journal.write()).toBeNull();
    Object.assign(shared, { ...shared });
    Object.assign(shared.items, [...shared.items], { length: 3 });
    Object.freeze(shared.items[1]);
    put(shared, "best", shared.best);
    shared.map.set("k", shared.map.get("k")).delete("none");
    shared.set.add(shared.best).delete("none");
    remove(shared, "none");
    shared.items.splice(1, 0);
    new Map().clear();
    expect(stored.journal.hasWritten(1)).toBe(false);
    expect(stored.journal.write()).toBeNull();
  });

  it("is none where what was written is gone again, even if it could not be stored", () => {
    const stored = new Stored(begin());
    const { map, set, ...shared } = stored.shared();
    stored.shared().temporary = () => shared;
    remove(stored.shared(), "temporary");
    map.set(Symbol(), 1).delete([...map.keys()].at(-1));
    set.add(Promise.resolve()).delete([...set].at(-1));
    expect(stored.journal.write()).toBeNull();
  });

  it("has the values of the moment when it is written", () => {
    const stored = new Stored(begin());
    const shared = stored.shared();
    shared.a = { step: 1 };
    (shared.a as { step: number }).step = 2;
    shared.best.n = 5;
    shared.best.n = 6;
    expect(stored.write()).toBe('j[[3,"a",{"step":2}],[8,"n",6]]');
  });
});

describe("what an entry costs", () => {
  /** How much longer an entry is in the second, larger graph. */
  function difference(sizes: number[], lengthWith: (size: number) => number): number {
    const [small = 0, large = 0] = sizes.map(lengthWith);
    return large - small;
  }

  it("is what was written, however large the graph is", () => {
    const more = difference([10, 10_000], (size) => {
      const items = Array.from({ length: size }, (_, index) => ({ index, text: "an item" }));
      const byName = new Map(items.map((item) => [`item ${item.index}`, item]));
      const stored = new Stored({ items, byName, done: {} as Record<string, unknown> });
      const shared = stored.shared();
      shared.items.push({ index: -1, text: "new" });
      shared.byName.delete("item 3");
      Object.assign(shared.items[5] as object, { text: "changed" });
      shared.done["item 5"] = shared.items[5];
      return stored.write().length;
    });
    expect(more).toBeLessThan(40); // longer numbers
  });

  it("is the same for each of many keys, when there are ten times as many", () => {
    const more = difference([100, 1_000], (count) => {
      const journal = new Journal({});
      const shared = journal.view(1)(journal.root) as Record<string, string>;
      let length = 0;
      for (let index = 0; index < count; index++) {
        shared[`chapter ${1_000_000 + index}`] = "A summary.";
        if (index % 10 === 9) length += journal.write()?.length ?? 0;
      }
      return length / count;
    });
    expect(more).toBe(0);
  });

  it("is the same for an element taken from a queue, however long that is", () => {
    const more = difference([50, 5_000], (size) => {
      const stored = new Stored({ queue: Array.from({ length: size }, (_, index) => `task ${index}`) });
      const { queue } = stored.shared();
      queue.shift();
      queue.push("one more");
      queue.shift();
      return stored.write().length;
    });
    expect(more).toBeLessThan(10);
  });

  it("is no more than the array where most of it was written", () => {
    const stored = new Stored({ list: Array.from({ length: 20 }, (_, index) => ({ index })) });
    stored.shared().list.reverse();
    expect(stored.write()).toMatch(/^d\[\[1\],\[2,3\],-4,/);
    stored.shared().list[3] = { index: 99 };
    expect(stored.write()).toBe('j[[4,"3",{"index":99}]]');
  });

  it("is no more than the array where more of it was moved about than it is long", () => {
    const stored = new Stored({ list: Array.from({ length: 10 }, (_, index) => index) });
    const { list } = stored.shared();
    for (let round = 0; round < 200; round++) list.splice(3, 0, ...list.splice(5, 1));
    expect(stored.write()).toBe(`j${JSON.stringify([[-4, list]])}`);
  });

  it("is one operation for all that is taken from one end of an array", () => {
    const stored = new Stored({ list: Array.from({ length: 100 }, (_, index) => index) });
    const { list } = stored.shared();
    for (let round = 0; round < 30; round++) list.shift();
    for (let round = 0; round < 30; round++) list.pop();
    expect(stored.write()).toBe('j[[4,"splice",100,0,30,0],[4,"splice",70,40,30,0]]');
  });
});
