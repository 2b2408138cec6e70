import { describe, expect, it } from "vitest";
import { encode } from "../../src/core/codec.ts";
import { Journal } from "../../src/core/journal.ts";
import { expectAlike, expectKept, hide, put, remove, Stored } from "./journal-twin.ts";
import { begin, type Item, type Shared } from "./journal-world.ts";

/** `shared` with a setter in place. */
function withSetter(shared: Shared): Shared {
  const set = function (this: Shared, value: number) {
    this.best.n = value * 2;
  };
  return Object.defineProperty(shared, "half", { set, configurable: true });
}

describe("a change of an object", () => {
  it.each<[string, (shared: Shared) => unknown]>([
    ["a new key", (shared) => put(shared, "a", 1)],
    ["a key that is overwritten", (shared) => Object.assign(shared.best, { n: 7 })],
    ["a key that is deleted", (shared) => remove(shared, "at")],
    ["undefined", (shared) => Object.assign(shared, { a: undefined })],
    ["minus zero for zero", (shared) => [0, -0].map((n) => Object.assign(shared.best, { n }))],
    ["not a number", (shared) => Object.assign(shared.best, { n: Number.NaN })],
    ["a BigInt", (shared) => Object.assign(shared, { a: 2n ** 70n })],
    ["a key named __proto__", (shared) => put(shared, "__proto__", { a: 1 })],
    ["a key named __proto__ twice", (shared) => ["a", "b"].map((value) => put(shared, "__proto__", value))],
    ["a key named length", (shared) => Object.assign(shared, { length: 3 })],
    ["a key named splice", (shared) => Object.assign(shared, { splice: 3 })],
    ["a key without a name", (shared) => Object.assign(shared, { "": [] })],
    ["an object without a prototype", (shared) => put(shared, "a", Object.assign(Object.create(null), { b: 1 }))],
    ["a prototype that is taken away", (shared) => Object.setPrototypeOf(shared.best, null)],
    [
      "a prototype that is given back",
      (shared) => [null, Object.prototype].map((to) => Object.setPrototypeOf(shared, to)),
    ],
    ["many keys at once", (shared) => Object.assign(shared, { a: 1, b: [2], best: null })],
    ["a key that is hidden", (shared) => hide(shared, "best")],
    ["a URL", (shared) => Object.assign(shared, { a: new URL("https://example.com/a?b=c") })],
    ["a regular expression", (shared) => Object.assign(shared, { a: /a/g })],
    ["a view on part of a buffer", (shared) => put(shared, "a", new Uint8Array(new ArrayBuffer(8), 2, 3))],
    ["a view on a buffer that is there", (shared) => put(shared, "a", new DataView(shared.bytes.buffer, 1, 2))],
    ["floats on part of a new buffer", (shared) => put(shared, "a", new Float64Array([0.1, -0]).subarray(1))],
    ["an error with a cause", (shared) => put(shared, "a", new TypeError("no", { cause: shared.best }))],
    ["a match, an array with names", (shared) => put(shared, "a", ["key=1".match(/(?<name>k)/), {}])],
    ["what a setter sets", (shared) => Object.assign(withSetter(shared), { half: 4 })],
    ["what is set on an object that inherits", (shared) => Object.assign(Object.create(shared), { best: 1, a: 1 })],
  ])("is kept: %s", (_, change) => {
    // What comes after it has to have the same numbers for writer and reader.
    expectKept(
      change,
      (shared) => put(shared, "last", [1]),
      (shared) => Object.assign(shared.last as object, { 0: 2 }),
    );
  });

  it.each<[string, ((shared: Shared) => unknown)[]]>([
    ["deleted and put back", [(s) => remove(s, "items"), (s) => put(s, "items", [])]],
    ["deleted and put back at once", [(s) => [put(s, "z", 1), remove(s, "items"), put(s, "items", 1)]]],
    ["new, deleted and put back at once", [(s) => [put(s, "z", 1), put(s, "y", 1), remove(s, "z"), put(s, "z", 2)]]],
    ["overwritten after a new one", [(s) => [put(s, "z", 1), put(s, "items", 2)]]],
    ["hidden, and shown", [(s) => hide(s, "best"), (s) => put(s, "best", 2)]],
    ["new and hidden, and shown", [(s) => hide(put(s, "z", 1), "z"), (s) => [put(s, "y", 1), put(s, "z", 1)]]],
    ["a number among names", [(s) => [put(s, "z", 1), put(s, "7", 1), put(s, "2", 1)]]],
  ])("keeps the order of keys: %s", (_, changes) => {
    expectKept(...changes);
  });

  it("keeps what is the same object, in whatever order it got there", () => {
    expectKept(
      (shared) => put(shared, "first", shared.items[2]),
      (shared) => shared.items[2]?.tags.push(shared),
      (shared) => Object.assign(shared, { one: { loop: shared.first }, two: [shared.one] }),
      (shared) => Object.assign(shared, { three: { own: {} }, two: [shared.one, { three: shared.three }] }),
      (shared) => put(shared, "four", (shared.three as { own: object }).own),
      (shared) => remove(shared, "three"),
      (shared) => Object.assign(shared.four as object, { late: true }),
    );
  });

  it("keeps two new objects of one entry that hold each other", () => {
    expectKept((shared) => {
      const one: Record<string, unknown> = {};
      const two = new Map([[one, [one]]]);
      Object.assign(one, { two });
      Object.assign(shared, { two, one });
    });
  });

  it("is kept of an object out of reach, which may come back", () => {
    const stored = new Stored<{ a?: { list: unknown[] }; b?: unknown }>({ a: { list: [1] } });
    const { a } = stored.shared();
    delete stored.shared().a;
    stored.write();
    a?.list.push("out of reach");
    stored.write();
    stored.shared().b = a;
    expect(stored.write()).toBe('d[[1],[2,3,4],3,"b",["Known",5],4]');
    expect(stored.read().b).toEqual({ list: [1, "out of reach"] });
  });

  it("is kept of an object that was out of reach when a snapshot was made", () => {
    const stored = new Stored<{ a?: { list: unknown[] }; others: unknown[] }>({ a: { list: [] }, others: [] });
    const { a } = stored.shared();
    delete stored.shared().a;
    stored.compact();
    stored.shared().others.push({ b: 1 });
    stored.write();
    a?.list.push(stored.shared().others[0]);
    stored.shared().others.push(a);
    stored.write();
    a?.list.push(stored.shared().others);
    stored.write();
    expect(stored.read().others[1]).toMatchObject({ list: [{ b: 1 }, [{ b: 1 }, {}]] });
  });
});

describe("a snapshot", () => {
  it("is the graph as the codec writes it, and forgets what was recorded", () => {
    const stored = new Stored(begin());
    stored.shared().best.n = 7;
    expect(stored.journal.snapshot()).toBe(encode(stored.journal.root, "root"));
    expect(stored.journal.hasWritten(1)).toBe(false);
    expect(stored.journal.write()).toBeNull();
  });

  it("makes the entries before it unneeded, and is gone on from", () => {
    const stored = new Stored(begin());
    stored.shared().items.push({ n: 4, tags: [] });
    stored.write();
    stored.shared().items.shift();
    stored.compact();
    stored.shared().items[1] = stored.shared().best;
    stored.write();
    expect(stored.entries).toHaveLength(1);
    expect(stored.read().items.map((item) => item.n)).toEqual([2, 1, 4]);
  });

  it("may be text that the codec wrote of the root before there was a journal", () => {
    const root = { shared: begin(), prep: {} };
    const start = encode(root, "root");
    const journal = new Journal(root);
    const { shared } = journal.view(1)(root);
    shared.best.tags.push(shared.items[2]);
    expectAlike(Journal.read(start, [journal.write() as string]).root, root);
  });
});

describe("a journal that was read", () => {
  it("goes on where the one that was written ended", () => {
    const first = new Stored(begin());
    first.shared().a = [first.shared().best, { new: true }];
    first.shared().items.reverse();
    first.write();
    const journal = Journal.read(first.snapshot, first.entries);
    const { shared } = journal.view(1)(journal.root) as { shared: Shared };
    (shared.a as [Item, object])[0].n = 77;
    Object.assign((shared.a as [Item, object])[1], { late: [shared.best] });
    shared.bytes[0] = 9;
    journal.close(1);
    const entries = [...first.entries, journal.write() as string];
    expectAlike(Journal.read(first.snapshot, entries).root, journal.root);
    expect(shared.items[2]?.n).toBe(77);
  });

  it("numbers a Buffer of Node as its reader does, which has one of its own for it", () => {
    const journal = new Journal({});
    const start = journal.snapshot();
    const shared = journal.view(1)(journal.root) as { one: Buffer; two: [Buffer, object]; three: object };
    Object.assign(shared, { one: Buffer.from("one"), two: [Buffer.from("two"), { a: 1 }], three: { b: 1 } });
    const first = journal.write() as string;
    Object.assign(shared.three, { b: 2 });
    Object.assign(shared.two[1], { a: 2 });
    shared.one.write("ONE");
    journal.check(1);
    const back = Journal.read(start, [first, journal.write() as string]).root as typeof shared;
    expect([String.fromCharCode(...back.one), String.fromCharCode(...back.two[0])]).toEqual(["ONE", "two"]);
    expect([back.two[1], back.three]).toEqual([{ a: 2 }, { b: 2 }]);
  });

  it("has one of an error, or of an object with a key named __proto__, that leads back to itself", () => {
    const failure = Object.assign(new Error("no"), { own: {} });
    failure.own = { failure };
    const odd = put({}, "__proto__", {}) as { self?: unknown[] };
    odd.self = [odd];
    const stored = new Stored({ failure, odd, list: [] as { late: unknown }[] });
    stored.shared().list.push({ late: stored.shared().odd });
    stored.write();
    const back = stored.read();
    expect((back.failure.own as typeof back).failure).toBe(back.failure);
    expect(back.odd.self?.[0]).toBe(back.odd);
    expect(back.list[0]?.late).toBe(back.odd);
  });
});
