import { describe, expect, it } from "vitest";
import { expectAlike, put, remove, Stored } from "./journal-twin.ts";
import { begin, type Item, type Shared } from "./journal-world.ts";

describe("what a writer holds without a proxy", () => {
  it.each<[string, (shared: Shared) => unknown]>([
    ["a Date", ({ at }) => at.setTime(5)],
    ["bytes", ({ bytes }) => bytes.fill(7)],
    ["the buffer of bytes", ({ bytes }) => new DataView(bytes.buffer).setUint8(1, 9)],
    ["an error's message", ({ failure }) => Object.assign(failure, { message: "because" })],
    ["an error's own fields", ({ failure }) => Object.assign(failure, { status: 404, more: [failure] })],
    ["a field that an error has no more", ({ failure }) => Reflect.deleteProperty(failure, "status")],
    ["an error's cause", ({ failure }) => Object.assign(failure, { cause: { at: new Date(3) } })],
    ["a URL", ({ url }) => Object.assign(url as URL, { pathname: "/changed", hash: "new" })],
    ["search parameters", ({ params }) => (params as URLSearchParams).append("b", "2")],
    ["search parameters fewer", ({ params }) => (params as URLSearchParams).delete("a")],
    ["a part of what is frozen", ({ frozen }) => (frozen as { map: Map<unknown, unknown> }).map.set("k", ["new"])],
    ["a part of an error's field", ({ failure }) => (failure as unknown as { about: Item }).about.tags.push("z")],
  ])("is stored if it changed: %s", (_, change) => {
    const start = () => ({
      ...begin(),
      url: new URL("https://example.com/a"),
      params: new URLSearchParams("a=1&a=2&c=3"),
      frozen: Object.freeze({ map: new Map() }),
    });
    const twin: Shared = start();
    const stored = new Stored<Shared>(start());
    for (const shared of [twin, stored.shared()]) change(shared);
    expect(stored.journal.hasWritten(1)).toBe(true);
    stored.write();
    expectAlike(stored.read(), twin);
    expect(stored.journal.hasWritten(1)).toBe(false);
    expect(stored.write()).toBe("");
  });

  it("is an object that it made and put in", () => {
    const stored = new Stored(begin());
    const made = { list: [{ n: 1 }], map: new Map([["k", new Set([{ deep: true }])]]) };
    stored.shared().made = made;
    stored.write();
    expect(stored.journal.hasWritten(1)).toBe(false);
    (made.list[0] as { n: number }).n = 2;
    expect(stored.journal.hasWritten(1)).toBe(true);
    expect(stored.write()).toBe('j[[-23,{"n":2}]]');
    made.list.push({ n: 3 });
    made.map.get("k")?.clear();
    stored.write();
    expect(stored.read().made).toEqual({ list: [{ n: 2 }, { n: 3 }], map: new Map([["k", new Set()]]) });
  });

  it.each<[string, (shared: Shared, made: object) => unknown]>([
    ["defined", (shared, made) => Object.defineProperty(shared, "made", { value: made, enumerable: true })],
    ["pushed", ({ items }, made) => items.push(made as Item)],
    ["unshifted", ({ items }, made) => items.unshift(made as Item)],
    ["a value of a Map", ({ map }, made) => map.set("made", made)],
    ["a key of a Map", ({ map }, made) => map.set(made, 1)],
    ["a member of a Set", ({ set }, made) => set.add(made)],
    ["deep in something fresh", (shared, made) => Object.assign(shared, { fresh: [new Map([["k", { made }]])] })],
    ["put in afterwards", (shared, made) => ((list) => [put(shared, "list", list), list.push(made)])([] as object[])],
    ["a field of an error", ({ failure }, made) => Object.assign(failure, { made })],
  ])("is what it made, however it was put in: %s", (_, putIn) => {
    const stored = new Stored(begin());
    const made: Record<string, unknown> = { n: 1 };
    putIn(stored.shared(), made);
    stored.write();
    made.n = 2;
    made.more = [stored.shared().best];
    stored.write();
    expectAlike(stored.read(), stored.raw);
    expect(JSON.stringify([...outlineOf(stored.read())])).toContain('"n":2');
  });

  it("is also what others put into it, and what it puts into that", () => {
    const stored = new Stored<Record<string, unknown>>({});
    const made: unknown[] = [];
    stored.shared(1).made = made;
    stored.write();
    (stored.shared(2).made as unknown[]).push({ of: "another" });
    stored.write();
    Object.assign(made[0] as object, { changed: [1] });
    stored.write();
    made.push({ fresh: true });
    stored.write();
    Object.assign(made[1] as object, { changed: true });
    stored.write();
    expect(stored.read()).toEqual({
      made: [
        { of: "another", changed: [1] },
        { fresh: true, changed: true },
      ],
    });
  });

  it("is compared with what is stored, and not with what it was when the writer came to hold it", () => {
    const stored = new Stored({ at: new Date(0), done: false });
    const { at } = stored.shared(2);
    stored.shared(1).at.setTime(1);
    stored.write();
    at.setTime(0);
    stored.write();
    expect(stored.read().at.getTime()).toBe(0);
    at.setTime(1);
    stored.compact();
    at.setTime(0);
    stored.write();
    expect(stored.read().at.getTime()).toBe(0);
  });

  it("is nothing any more once it has closed, and was looked at before", () => {
    const stored = new Stored({ at: new Date(0) });
    const { at } = stored.shared();
    at.setTime(1);
    stored.journal.close(1);
    expect(stored.journal.hasWritten(1)).toBe(true);
    stored.write();
    expect(stored.journal.hasWritten(1)).toBe(false);
    at.setTime(2);
    expect(stored.journal.hasWritten(1)).toBe(false);
    expect(stored.journal.write()).toBeNull();
  });

  it("changes only while it is at work, which it is from a view to a rest", () => {
    const stored = new Stored<{ at: Date; list?: number[] }>({ at: new Date(0) });
    const list = [1];
    stored.shared(1).list = list;
    const { at } = stored.shared(1);
    stored.write();
    stored.journal.rest(1);
    stored.shared(2).list?.push(2);
    stored.shared(2).at.setTime(1);
    stored.journal.close(2);
    stored.write();
    stored.shared(3).at.setTime(2);
    stored.write();
    expect(stored.journal.hasWritten(1)).toBe(false);
    stored.shared(1);
    list.push(3);
    at.setTime(3);
    expect(stored.journal.hasWritten(1)).toBe(true);
    stored.write();
    expect(stored.read()).toEqual({ at: new Date(3), list: [1, 2, 3] });
  });

  it("is not looked through while it is at rest, however often others write to it", () => {
    const stored = new Stored<{ made?: Record<string, unknown> }>({});
    let lookedAt = 0;
    const get = () => void lookedAt++;
    stored.shared(1).made = Object.defineProperty({}, "lookedAt", { get, enumerable: true });
    stored.journal.rest(1);
    stored.write();
    const before = lookedAt;
    const other = stored.journal.view(2)(stored.raw).made as Record<string, unknown>;
    for (let n = 0; n < 100; n++) {
      other[`key ${n}`] = n;
      stored.journal.write();
    }
    expect(lookedAt).toBe(before);
  });

  it("is a collection whose keys are replaced before they are stored", () => {
    const stored = new Stored(begin());
    stored.shared(1).chosen = new Map([[stored.shared(1).best, 1]]);
    stored.journal.rest(1);
    stored.write();
    const other = stored.shared(2);
    (other.chosen as Map<Item, number>).set(other.best, 2);
    stored.journal.view(1);
    stored.journal.close(1);
    stored.write();
    const back = stored.read();
    expect([...(back.chosen as Map<Item, number>)]).toEqual([[back.best, 2]]);
  });

  it("is what others make of it meanwhile, once it goes on", () => {
    const stored = new Stored<{ list?: object[] }>({});
    const list: object[] = [];
    stored.shared(1).list = list;
    stored.journal.rest(1);
    stored.write();
    stored.shared(2).list?.push({ n: 1 });
    stored.journal.close(2);
    stored.write();
    stored.shared(1);
    Object.assign(list[0] as object, { n: 2 });
    stored.write();
    expect(stored.read()).toEqual({ list: [{ n: 2 }] });
  });

  it("is looked for only where the writer is asked after", () => {
    const stored = new Stored({ at: new Date(0), list: [1] });
    stored.shared(1).at.setTime(1);
    stored.shared(2).list.push(2);
    expect(stored.journal.write()).not.toContain("-4");
    expect([stored.journal.hasWritten(2), stored.journal.hasWritten(1)]).toEqual([false, true]);
  });

  it("is written anew where it is put in again after its writer closed", () => {
    const list = [{ n: 1 }];
    const stored = new Stored<Record<string, unknown>>({});
    stored.shared(1).list = list;
    stored.journal.close(1);
    stored.write();
    (list[0] as { n: number }).n = 2;
    stored.shared(2).list = list;
    stored.write();
    expect(stored.read()).toEqual({ list: [{ n: 2 }] });
  });

  it("holds proxies as long as it is held, so that what is done to what it holds is seen", () => {
    const stored = new Stored(begin());
    const shared = stored.shared();
    const made = { list: [shared.best], late: new Map<unknown, unknown>(), failure: new Error("no") };
    shared.made = made;
    made.list.push(shared.items[1] as Item);
    made.late.set(shared.best, { of: shared.items });
    made.failure.cause = shared.best;
    stored.shared(2).other = stored.shared(2).items[2];
    (stored.shared(2).made as typeof made).list.push(stored.shared(2).items[2] as Item);
    stored.write();
    expect([made.list[0], made.failure.cause, ...made.late.keys()]).toEqual([shared.best, shared.best, shared.best]);
    expect(made.list[0]).toBe(shared.best);
    for (const { tags } of made.list) tags.push("done");
    expect(stored.journal.hasWritten(1)).toBe(true);
    stored.write();
    expect(stored.read().items.map(({ tags }) => tags.at(-1))).toEqual(["done", "done", "done"]);
    stored.journal.close(1);
    const { raw } = stored;
    expect(made.list.every((item, index) => item === raw.items[index])).toBe(true);
    expect(made.failure.cause).toBe(raw.best);
    expect(made.late.has(raw.best)).toBe(true);
  });

  it("is given proxies by those who write to it, before anything is stored", () => {
    const stored = new Stored(begin());
    const made: { item?: Item; list: Item[]; map: Map<string, Item> } = { list: [], map: new Map() };
    stored.shared().made = made;
    const seen = stored.shared().made as typeof made;
    const { items } = stored.shared();
    seen.item = items[0] as Item;
    seen.list.push(items[1] as Item);
    seen.map.set("k", items[2] as Item);
    for (const item of [made.item as Item, ...made.list, ...made.map.values()]) item.n = 9;
    stored.write();
    expect(stored.read().items.map(({ n }) => n)).toEqual([9, 9, 9]);
  });

  it.each<[string, object, (made: object) => unknown]>([
    ["a prototype", { a: 1 }, (made) => Object.setPrototypeOf(made, null)],
    ["the order of keys", { a: 1, b: 2 }, (made) => [remove(made, "a"), put(made, "a", 1)]],
    ["a hole for undefined", [1, undefined], (made) => remove(made, "1")],
    [
      "holes where a list had said so",
      [3, "0", "a"],
      (made) => Object.assign(made, { length: 0 }, { length: 3, 0: "a" }),
    ],
    ["minus zero", { a: 0 }, (made) => Object.assign(made, { a: -0 })],
    [
      "the order of members",
      new Set([1, 2]),
      (made) => [(made as Set<number>).delete(1), (made as Set<number>).add(1)],
    ],
  ])("is an object of which anything changes that is stored: %s", (_, made, change) => {
    const stored = new Stored<{ made?: object }>({});
    stored.shared().made = made;
    stored.write();
    change(made);
    expect(stored.write()).not.toBe("");
  });

  it("may be a collection whose keys others write to, and that is stored when it is held no more", () => {
    const stored = new Stored(begin());
    const { best, items } = stored.shared();
    const [map, set] = [new Map([[best, 1]]), new Set([best, items[1]])];
    Object.assign(stored.shared(), { chosen: map, members: set });
    stored.write();
    const other = stored.shared(2) as Shared & { chosen: typeof map; members: typeof set };
    other.chosen.set(other.best, 2);
    other.members.delete(other.best);
    other.members.add(other.best);
    stored.journal.close(1);
    stored.write();
    const back = stored.read() as typeof other;
    expect([...back.chosen]).toEqual([[back.best, 2]]);
    expect([...back.members].map((member) => member === back.best)).toEqual([false, true]);
  });

  it("is an array that is moved about with and without a proxy", () => {
    const stored = new Stored<{ list?: number[] }>({});
    const list = [1, 2, 3];
    stored.shared().list = list;
    stored.write();
    list.unshift(0);
    stored.shared().list?.shift();
    list.push(4);
    Object.assign(stored.shared().list as number[], { length: 3 });
    stored.write();
    expect(stored.read()).toEqual({ list: [1, 2, 3] });
  });

  it("may be a collection with proxies in it that was put in unseen, and is looked into before it is stored", () => {
    const stored = new Stored(begin());
    const shared = stored.shared(1) as Shared & { failure: Error & { about: Item } };
    shared.failure.about.tags.push(new Set([undefined, shared.best]), new Map([[shared.best, 1]]));
    const { best, items } = stored.shared(2);
    const [set, map] = best.tags.slice(-2) as [Set<unknown>, Map<unknown, unknown>];
    expect([set.has(best), set.has(items), map.get(best), map.get(items)]).toEqual([true, false, 1, undefined]);
    expect([set.delete(items), set.delete(best)]).toEqual([false, true]);
    stored.write();
    expect(stored.read().best.tags.at(-2)).toEqual(new Set([undefined]));
  });

  it("is also what it put in unseen, and others have moved elsewhere", () => {
    const stored = new Stored(begin());
    const { failure } = stored.shared(1) as Shared & { failure: Error & { about: Item } };
    const made = { n: 1 };
    failure.about.tags.push(made);
    expect(stored.journal.hasWritten(1)).toBe(true);
    stored.shared(2).moved = stored.shared(2).best.tags.pop();
    stored.write();
    made.n = 2;
    expect(stored.journal.hasWritten(1)).toBe(true);
    stored.write();
    expect(stored.read().moved).toEqual({ n: 2 });
  });

  it("is what prep keeps in a field and post writes to", () => {
    const stored = new Stored<{ list: number[][]; sorted: number[][] }>({ list: [[3], [1]], sorted: [] });
    const sorted = [...stored.shared().list].sort();
    stored.shared().sorted = sorted;
    stored.write();
    sorted.push([9]);
    (sorted[0] as number[])[0] = 5;
    stored.write();
    expect(stored.read()).toEqual({ list: [[3], [5]], sorted: [[5], [3], [9]] });
    expect(stored.read().sorted[0]).toEqual(stored.read().list[1]);
  });
});

/** Every object of a graph. */
function* outlineOf(root: unknown, seen = new Set<unknown>()): Generator<unknown> {
  if (typeof root !== "object" || root === null || seen.has(root)) return;
  seen.add(root);
  yield { ...root };
  const parts = root instanceof Map || root instanceof Set ? [...root].flat() : Object.values(root);
  for (const part of parts) yield* outlineOf(part, seen);
}

describe("whether a writer has written", () => {
  it("is known until what it wrote is in an entry", () => {
    const { journal, ...stored } = new Stored(begin());
    const see = (writer: number) => journal.view(writer)(journal.root as { shared: Shared }).shared;
    see(1).best.n = 2;
    void see(2).best.n;
    expect([1, 2, 3].map((writer) => journal.hasWritten(writer))).toEqual([true, false, false]);
    see(2).best.n = 3;
    expect([1, 2].map((writer) => journal.hasWritten(writer))).toEqual([true, true]);
    journal.close(1);
    expect(journal.hasWritten(1)).toBe(true);
    journal.write();
    expect([1, 2].map((writer) => journal.hasWritten(writer))).toEqual([false, false]);
    expect(stored.entries).toEqual([]);
  });
});

describe("whether a value touches the graph", () => {
  const stored = new Stored(begin());
  const { raw } = stored;
  const shared = stored.shared();
  const fresh = { list: [{ deep: 1 }] };
  shared.fresh = fresh;

  it.each<[string, unknown, boolean]>([
    ["a scalar", "text", false],
    ["nothing", undefined, false],
    ["a fresh value", { a: [1, new Map()] }, false],
    ["a function", () => {}, false],
    ["an object of it", raw.best.tags, true],
    ["the root", stored.journal.root, true],
    ["a proxy of one", shared.best, true],
    ["a proxy deep in a fresh value", [new Map([[{ a: new Set([shared.best]) }, 1]])], true],
    ["a Date of it", [raw.at], true],
    ["the buffer of bytes of it", { buffer: raw.bytes.buffer }, true],
    ["an error about one", new Error("no", { cause: raw.best }), true],
    ["what was put in a moment ago", fresh, true],
    ["a part of that", [fresh.list[0]], true],
    ["a proxy of that", { a: shared.fresh }, true],
    ["a frozen object with a proxy", Object.freeze([shared.best]), true],
    ["a copy", structuredClone(raw), false],
  ])("is found: %s", (_, value, doesTouch) => {
    expect(stored.journal.touches(value)).toBe(doesTouch);
  });

  it("is found of what was taken out again", () => {
    const journal = new Stored(begin());
    const made = {};
    journal.shared().made = made;
    delete journal.shared().made;
    expect(journal.journal.touches(made)).toBe(false);
  });
});
