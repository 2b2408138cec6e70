import { describe, expect, it } from "vitest";
import { expectAlike, expectKept, put, remove, Stored } from "./journal-twin.ts";
import type { Shared } from "./journal-world.ts";

describe("a change of an array", () => {
  const long = (): unknown[] => Array.from({ length: 20 }, (_, index) => ({ index }));
  const resize = (list: unknown[], length: number) => Object.assign(list, { length });

  it.each<[string, (list: unknown[]) => unknown]>([
    ["push", (list) => list.push(1, { a: 1 })],
    ["pop", (list) => [list.pop(), list.pop()]],
    ["pop, push and pop", (list) => [list.pop(), list.push(1, 2), list.pop(), list.pop()]],
    ["shift", (list) => [list.shift(), list.shift(), list.shift()]],
    ["shift of nothing", (list) => [resize(list, 0), list.shift(), list.pop()]],
    ["shift of what was just pushed", (list) => [resize(list, 1), list.push(2, 3), list.shift(), list.shift()]],
    ["shift and set", (list) => [put(list, "7", 1), list.shift(), put(list, "7", 2), list.shift(), put(list, "0", 3)]],
    ["unshift", (list) => list.unshift({}, list[3])],
    ["unshift of nothing", (list) => list.unshift()],
    ["splice", (list) => list.splice(-3, 2, "a", [], "c")],
    ["splice to the end", (list) => list.splice(15)],
    ["splice of nothing", (list) => [list.splice(3, 0), Reflect.apply(list.splice, list, [])]],
    ["splice beyond the end", (list) => list.splice(99, 5, "z")],
    ["splice at no number", (list) => list.splice(Number.NaN, 1)],
    ["splice at a broken number", (list) => list.splice(-2.5, 1, "x")],
    ["splice from before the beginning", (list) => list.splice(-99, 2)],
    [
      "splice after a set",
      (list) => [put(list, "5", 1), put(list, "1", 1), list.splice(2, 2), list.splice(0, 0, "new")],
    ],
    ["splice of what was set", (list) => [put(list, "5", "set"), list.splice(4, 3, 1, 2), put(list, "4", {})]],
    ["splice after the end was moved away", (list) => [put(list, "30", 1), list.splice(25, 1, "x"), list.pop()]],
    ["sort", (list) => list.sort((a, b) => (b as { index: number }).index - (a as { index: number }).index)],
    ["reverse", (list) => list.reverse()],
    ["copyWithin", (list) => list.copyWithin(0, 15)],
    ["fill", (list) => list.fill({}, 3, 6)],
    ["a shorter length", (list) => resize(list, 3)],
    ["a shorter length, and a hole", (list) => put(resize(list, 3), "5", 1)],
    ["a longer length", (list) => resize(list, 30)],
    ["a longer, then a shorter length", (list) => resize(resize(list, 30), 10)],
    ["no length", (list) => resize(list, 0)],
    ["a hole", (list) => remove(list, "3")],
    ["a hole at the end", (list) => remove(put(list, "22", 1), "22")],
    ["a hole that is spliced away", (list) => [remove(list, "3"), list.splice(3, 1)]],
    ["a hole in what was spliced in", (list) => [list.splice(3, 0, "x", "y"), remove(list, "3")]],
    ["a hole that is moved", (list) => [remove(list, "3"), list.shift()]],
    ["an index far away", (list) => put(list, "4000000000", 1)],
    ["an index far away that is cut off", (list) => resize(put(list, "4000000000", 1), 5)],
    ["the largest number, which is no index", (list) => put(list, "4294967295", [])],
    ["a name, which is not stored", (list) => Object.assign(list, { name: "x", 3: "y" })],
    ["its own parts elsewhere", (list) => list.push(list.splice(0, 5))],
    ["its own parts twice", (list) => list.push(list[3], ...list.slice(4, 6))],
  ])("is kept: %s", (_, change) => {
    const twin = long();
    const stored = new Stored({ list: long() });
    for (let round = 0; round < 2; round++) {
      expectAlike(change(stored.shared().list), change(twin));
      stored.write();
    }
    Object.assign(stored.shared().list, { 0: ["last"] });
    stored.write();
    expectAlike(stored.read().list, Object.assign(twin, { 0: ["last"] }));
  });

  it("is kept where a long one is moved about while it is filled", () => {
    const stored = new Stored({ list: Array.from({ length: 3_000 }, (_, index) => index) });
    const { list } = stored.shared();
    for (let round = 0; round < 1_000; round++) {
      list.push(-round);
      list.shift();
    }
    stored.write();
    expect(stored.read().list).toEqual([...Array.from({ length: 2_000 }, (_, i) => i + 1_000), ...list.slice(-1_000)]);
  });
});

describe("a change of a Map or a Set", () => {
  it.each<[string, (shared: Shared) => unknown]>([
    ["a new key", ({ map }) => map.set("new", [1])],
    ["an overwritten key", ({ map }) => map.set("k", 2)],
    ["an object as key", ({ map }) => map.set({ a: 1 }, "value").set(map, map)],
    ["a known object as key", ({ map, items }) => map.set(items[1], 1)],
    ["a known object's key overwritten", ({ map, best }) => map.set(best, 2)],
    ["no number as key", ({ map }) => map.set(Number.NaN, 1).set(Number.NaN, 2)],
    ["minus zero as key", ({ map }) => map.set(-0, -0).set(0, 1)],
    ["undefined as key", ({ map }) => map.set(undefined, undefined)],
    ["a deleted key", ({ map }) => map.delete("k")],
    ["a deleted object", ({ map, best }) => [map.delete(best), map.delete(best)]],
    ["a key put back", ({ map }) => [map.set("z", 1), map.delete("k"), map.set("k", 1)]],
    ["a new key that is gone", ({ map }) => [map.set("z", 1).set("y", 1), map.delete("z")]],
    ["nothing left", ({ map, set }) => [map.clear(), set.clear()]],
    ["nothing but what came after", ({ map, set }) => [map.clear(), set.clear(), map.set("k", set), set.add(map)]],
    ["a new member", ({ set }) => set.add({}).add("x").add(1)],
    ["a deleted member", ({ set, best }) => [set.delete(1), set.delete(best), set.delete("none")]],
    ["a member put back", ({ set }) => [set.delete(1), set.add(2), set.add(1)]],
    ["a value changed in place", ({ map }) => Object.assign(map.get("k") as object, { x: 2 })],
    ["a key changed in place", ({ map }) => Object.assign([...map.keys()][1] as object, { n: 2 })],
  ])("is kept: %s", (_, change) => {
    expectKept(
      change,
      ({ map, set }) => map.set("last", set.add({})),
      ({ set }) => Object.assign([...set].at(-1) as object, { late: true }),
    );
  });

  it("is kept of a subclass with a method of its own", () => {
    class Counts extends Map<unknown, number> {
      count(key: unknown): number {
        this.set(key, (this.get(key) ?? 0) + 1);
        return this.get(key) as number;
      }
    }
    const stored = new Stored({ counts: new Counts([["a", 1]]), key: {} });
    const { counts, key } = stored.shared();
    expect([counts.count("a"), counts.count(key), counts.count(key)]).toEqual([2, 1, 2]);
    stored.write();
    expect([...stored.read().counts]).toEqual([
      ["a", 2],
      [{}, 2],
    ]);
  });
});
