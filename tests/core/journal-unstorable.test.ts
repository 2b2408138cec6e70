import { describe, expect, it } from "vitest";
import { Journal, UnstorableError } from "../../src/core/journal.ts";
import { Stored } from "./journal-twin.ts";
import { begin, type Shared } from "./journal-world.ts";

function thrownBy(run: () => unknown): UnstorableError {
  try {
    run();
  } catch (error) {
    return error as UnstorableError;
  }
  throw new Error("Expected an error to be thrown");
}

describe("a value that cannot be stored", () => {
  class Socket {}
  function send() {}

  it.each<[string, (shared: Shared) => unknown, string]>([
    ["a function", (s) => Object.assign(s, { stream: send }), "a function (send) at shared.stream"],
    ["deep in a fresh value", (s) => Object.assign(s, { a: [{ b: send }] }), "a function (send) at shared.a[0].b"],
    [
      "in an old object",
      ({ best }) => best.tags.push(Promise.resolve()),
      "an instance of Promise at shared.items[0].tags[2]",
    ],
    ["a value of a Map", ({ map }) => map.set("s", new Socket()), 'an instance of Socket at shared.map.get("s")'],
    ["a key of a Map", ({ map }) => map.set(send, 1), "a function (send) at shared.map.get(...)"],
    ["a member of a Set", ({ set }) => set.add(Symbol("x")), "a symbol at shared.set"],
    ["a symbol as key", ({ best }) => Object.assign(best, { [Symbol("x")]: 1 }), "an object at shared.items[0]"],
    [
      "a field of an error",
      ({ failure }) => Object.assign(failure, { send }),
      "a function (send) at shared.failure.send",
    ],
    [
      "a prototype",
      ({ best }) => Object.setPrototypeOf(best, new Socket()),
      "an instance of Socket at shared.items[0]",
    ],
    ["spliced in", ({ items }) => items.splice(1, 1, send as never), "a function (send) at shared.items[1]"],
  ])("is refused with its path and its writer: %s", (_, change, words) => {
    const stored = new Stored(begin());
    stored.shared(1).a = 1;
    stored.shared(1).items[1] = { n: 5, tags: [] };
    change(stored.shared(7));
    stored.journal.check(7);
    stored.shared(2).b = [2];
    for (const store of [() => stored.journal.write(), () => stored.journal.snapshot()]) {
      const error = thrownBy(store);
      expect(error).toBeInstanceOf(UnstorableError);
      expect(error).toBeInstanceOf(TypeError);
      expect(error).toMatchObject({ message: `Expected a value that can be stored, got ${words}`, writer: 7 });
    }
  });

  it("may be taken back, and the rest is stored", () => {
    const stored = new Stored(begin());
    stored.shared().stream = send;
    stored.shared().list = [{ a: 1 }];
    expect(() => stored.journal.write()).toThrow(UnstorableError);
    delete stored.shared().stream;
    stored.write();
    expect(stored.read().list).toEqual([{ a: 1 }]);
  });

  it("does no harm where nothing leads to it", () => {
    const stored = new Stored<{ a?: Record<string, unknown>; b: unknown[] }>({ a: {}, b: [] });
    const { a, b } = stored.shared();
    delete stored.shared().a;
    stored.write();
    Object.assign(a as object, { socket: new Socket(), list: [1] });
    b.push("stored");
    stored.write();
    expect(stored.read()).toEqual({ b: ["stored"] });
    b.push(a);
    expect(thrownBy(() => stored.journal.write()).message).toContain("an instance of Socket at shared.b[1].socket");
    delete a?.socket;
    stored.write();
    expect(stored.read()).toEqual({ b: ["stored", { list: [1] }] });
  });

  it("is of no known writer where it was there from the beginning", () => {
    const root = { list: [] as unknown[] };
    root.list.push(root, send);
    expect(thrownBy(() => new Journal(root).snapshot()).writer).toBe(0);
  });

  it("is told apart from an error of the value's own", () => {
    const stored = new Stored<object>({});
    let isBroken = false;
    const get = () => {
      if (isBroken) throw new RangeError("broken");
    };
    Object.assign(stored.shared(), { a: Object.defineProperty({}, "b", { get, enumerable: true }) });
    isBroken = true;
    expect(() => stored.journal.write()).toThrow(new RangeError("broken"));
  });
});
