import { describe, expect, it } from "vitest";
import { encode } from "../../src/core/codec.ts";
import { Journal } from "../../src/core/journal.ts";
import { rawOf, withoutProxies } from "../../src/core/recorder.ts";
import { expectAlike, Stored } from "./journal-twin.ts";
import { begin, type Item } from "./journal-world.ts";

describe("a view", () => {
  it("shows one object as one, and to each writer as one of its own", () => {
    const stored = new Stored(begin());
    const [one, two] = [stored.shared(1), stored.shared(2)];
    expect(one).toBe(stored.shared(1));
    expect(one.best).toBe(one.items[0]);
    expect([...one.map.keys()][1]).toBe(one.best);
    expect([...one.set][1]).toBe(one.best);
    expect(one.best).not.toBe(two.best);
    expect(rawOf(one.best)).toBe(rawOf(two.best));
    expect(stored.journal.view(2)(one.best)).toBe(two.best);
    expect(stored.journal.view(1)("text")).toBe("text");
    expect(stored.journal.view(1)(null)).toBeNull();
  });

  it("looks like what it shows to everything that looks", () => {
    const stored = new Stored(begin());
    const { items, map, set, best, at, ...others } = stored.shared();
    expect(Array.isArray(items)).toBe(true);
    expect(map).toBeInstanceOf(Map);
    expect(set).toBeInstanceOf(Set);
    expect(at).toBeInstanceOf(Date);
    expect(map.constructor).toBe(Map);
    expect(String(map)).toBe("[object Map]");
    expect([map.size, set.size, items.length]).toEqual([2, 2, 3]);
    expect(JSON.stringify(best)).toBe('{"n":1,"tags":["x","y"]}');
    expect(Object.keys(others)).toEqual(["failure", "bytes", "sparse"]);
    expect(Object.entries(best)).toEqual([
      ["n", 1],
      ["tags", best.tags],
    ]);
    expect("n" in best && !("m" in best)).toBe(true);
    expect(encode(stored.shared(), "shared")).toBe(encode(stored.raw, "shared"));
    expectAlike(stored.shared(), begin());
  });

  it("shows nothing but proxies of what has them, whichever way it is asked", () => {
    const stored = new Stored(begin());
    const shared = stored.shared();
    const { items, map, set, best } = shared;
    const shown: unknown[] = [];
    const keep = (...given: unknown[]) => void shown.push(given);
    map.forEach(keep);
    set.forEach(keep);
    shown.push([...map], [...map.entries()], [...map.values()], [...map.keys()], map.get(best), map.get("k"));
    shown.push([...set], [...set.entries()], [...set.values()], [...set.keys()], set.union(new Set()));
    shown.push(
      items.at(-1),
      items.find((item) => item.n === 2),
      items.map((item) => item.tags),
      items.concat(items),
    );
    shown.push(items.filter(Boolean), Object.values(shared), { ...best }, Object.getOwnPropertyDescriptors(best));
    shown.push(items.splice(1, 1), items.shift(), items.pop(), [...items.entries()]);
    const raw = new Set<unknown>([stored.raw, stored.raw.map, stored.raw.set, stored.raw.best, stored.raw.best.tags]);
    expect(shown.flat(3).filter((value) => raw.has(value))).toEqual([]);
    expect(shown.flat(3)).toContain(best);
  });

  it("finds an object by itself, by any proxy of it, and by the object that was put in", () => {
    const stored = new Stored(begin());
    const [one, two] = [stored.shared(1), stored.shared(2)];
    const item: Item = { n: 9, tags: [] };
    one.items.push(item);
    one.set.add(item);
    one.map.set(item, "nine");
    for (const { items, map, set } of [one, two]) {
      for (const wanted of [item, one.items[3], two.items[3]] as Item[]) {
        expect([items.indexOf(wanted), items.lastIndexOf(wanted), items.includes(wanted)]).toEqual([3, 3, true]);
        expect([map.get(wanted), map.has(wanted), set.has(wanted)]).toEqual(["nine", true, true]);
      }
      expect([items.indexOf(item, 4), items.includes(item, -1), items.lastIndexOf(item, 2)]).toEqual([-1, true, -1]);
      expect(items.includes({ ...item })).toBe(false);
    }
    expect(one.sparse.indexOf(undefined)).toBe(-1);
    expect(one.sparse.includes(undefined)).toBe(true);
  });

  it("finds an object in a collection that was filled with proxies before it was put in, and since", () => {
    const stored = new Stored(begin());
    const [one, two] = [stored.shared(1), stored.shared(2)];
    const fresh = new Map<unknown, unknown>([[one.best, "best"]]);
    const members = new Set<unknown>([one.best]);
    Object.assign(one, { fresh, members });
    for (const shared of [one, two]) {
      expect((shared.fresh as typeof fresh).get(shared.best)).toBe("best");
      expect((shared.members as typeof members).has(shared.best)).toBe(true);
    }
    fresh.set(one.items, "items");
    (one.fresh as typeof fresh).set(one.items, "all");
    expect((one.fresh as typeof fresh).get(one.items)).toBe("all");
    expect((one.fresh as typeof fresh).delete(one.items)).toBe(true);
    (two.fresh as typeof fresh).set(two.best, "second best");
    (two.members as typeof members).delete(two.best);
    stored.write();
    const back = stored.read() as { best: Item; fresh?: typeof fresh; members?: typeof members };
    expect([back.fresh?.size, back.fresh?.get(back.best), back.members?.size]).toEqual([1, "second best", 0]);
  });

  it.each<[string, (set: Set<unknown>, other: Set<unknown>) => unknown, unknown[] | boolean]>([
    ["union", (set, other) => set.union(other), [1, "item", 2]],
    ["intersection", (set, other) => set.intersection(other), ["item"]],
    ["difference", (set, other) => set.difference(other), [1]],
    ["symmetricDifference", (set, other) => set.symmetricDifference(other), [1, 2]],
    ["isSubsetOf", (set, other) => set.isSubsetOf(other), false],
    ["isSupersetOf", (set, other) => set.isSupersetOf(other), false],
    ["isDisjointFrom", (set, other) => set.isDisjointFrom(other), false],
  ])("compares sets, and changes none of them: %s", (_, compare, expected) => {
    const stored = new Stored(begin());
    const { set, best, ...shared } = stored.shared();
    shared.other = new Set([best, 2]);
    stored.shared().other = shared.other;
    stored.write();
    for (const other of [shared.other, stored.shared(1).other, stored.shared(2).other] as Set<unknown>[]) {
      const found = compare(set, other);
      const names = (members: Set<unknown>) => [...members].map((member) => (member === best ? "item" : member));
      expect(found instanceof Set ? names(found) : found).toEqual(expected);
    }
    // The other way round too, though a set that a writer holds has proxies in it.
    const held = stored.shared().other as Set<unknown>;
    expect(compare(held, set)).toEqual(compare(new Set([best, 2]), new Set([1, best])));
    expect(stored.write()).toBe("");
  });

  it("takes a writer's proxy for another's object", () => {
    const stored = new Stored(begin());
    stored.shared(1).mine = stored.shared(2).best;
    stored.shared(2).map.set(stored.shared(1).items, { of: stored.shared(1).best });
    expect(stored.shared(2).mine).toBe(stored.shared(2).best);
    stored.write();
    expect(stored.raw.mine).toBe(stored.raw.best);
    expect(stored.raw.map.get(stored.raw.items)).toEqual({ of: stored.raw.best });
  });

  it("keeps to what an object that is frozen may show, and sees what is done to it all the same", () => {
    const stored = new Stored<Record<string, unknown>>({ frozen: Object.freeze({ list: [{ n: 1 }] }) });
    const { frozen } = stored.shared() as { frozen: { list: { n: number }[] } };
    expect(() => Object.assign(frozen, { list: [] })).toThrow(TypeError);
    expect(Object.isFrozen(frozen)).toBe(true);
    expect(Object.getOwnPropertyDescriptor(frozen, "list")?.value).toBe(frozen.list);
    (frozen.list[0] as { n: number }).n = 2;
    frozen.list.push({ n: 3 });
    expect(stored.journal.hasWritten(1)).toBe(true);
    stored.write();
    expect(stored.read()).toEqual({ frozen: { list: [{ n: 2 }, { n: 3 }] } });
  });

  it("looks behind proxies in what was frozen before it was put in", () => {
    const stored = new Stored(begin());
    const shared = stored.shared();
    shared.frozen = Object.freeze({ best: shared.best, list: Object.freeze([shared.best]) });
    stored.write();
    const back = stored.read() as { best: Item; frozen?: { best: Item; list: Item[] } };
    expect(back.frozen?.best).toBe(back.best);
    expect(back.frozen?.list[0]).toBe(back.best);
    stored.compact();
    const again = stored.read() as typeof back;
    expect(again.frozen?.best).toBe(again.best);
  });

  it("shows those proxies to others too, and takes what comes through them for written by any who are at work", () => {
    const stored = new Stored(begin());
    stored.shared(1).frozen = Object.freeze({ list: stored.shared(1).items });
    stored.journal.close(1);
    stored.write();
    const { list } = stored.shared(2).frozen as { list: Item[] };
    const item: Item = { n: 4, tags: [] };
    list.push(item);
    expect(stored.journal.hasWritten(2)).toBe(true);
    stored.write();
    item.n = 5;
    expect(stored.journal.hasWritten(2)).toBe(true);
    stored.write();
    expect(stored.read().items.map(({ n }) => n)).toEqual([1, 2, 3, 5]);
  });

  it("is of use after its writer has closed, as far as it goes", () => {
    const stored = new Stored(begin());
    const shared = stored.shared();
    stored.journal.close(1);
    shared.best.n = 8;
    shared.a = { late: shared.best };
    stored.write();
    expect(stored.read()).toMatchObject({ best: { n: 8 }, a: { late: { n: 8 } } });
    expect((stored.raw.a as { late: Item }).late).toBe(stored.raw.best);
    expect(stored.shared().best).not.toBe(shared.best);
  });
});

describe("a value without proxies", () => {
  it("is the same value, with the objects in place of their proxies", () => {
    const stored = new Stored(begin());
    const { best, items, at } = stored.shared();
    const failure = Object.assign(new Error("no", { cause: best }), { items });
    const value = { best, list: [items, 1], map: new Map([[best, items]]), set: new Set([best]), failure, at };
    const loop = Object.assign(value, { loop: value });
    expect(withoutProxies(loop)).toBe(loop);
    const { raw } = stored;
    expect([loop.best, loop.list[0], ...loop.set, ...loop.map.keys()]).toEqual([
      raw.best,
      raw.items,
      raw.best,
      raw.best,
    ]);
    expect([loop.best, failure.cause].every((part) => part === raw.best)).toBe(true);
    expect([loop.list[0], failure.items, ...loop.map.values()].every((part) => part === raw.items)).toBe(true);
  });

  it("is what is behind a proxy, and anything else itself", () => {
    const journal = new Journal({ list: [{}] });
    const { list } = journal.view(1)(journal.root) as { list: object[] };
    expect(withoutProxies(list)).toBe((journal.root as { list: object[] }).list);
    expect([1, null, undefined].map(withoutProxies)).toEqual([1, null, undefined]);
    const at = new Date(0);
    expect(withoutProxies(at)).toBe(at);
  });
});
