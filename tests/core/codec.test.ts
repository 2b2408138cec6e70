import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contains, decode, encode, isApart, toJson } from "../../src/core/codec.ts";
import { values } from "./values.ts";

const roundTrip = (value: unknown) => decode(encode(value, "value"));

describe("a stored value", () => {
  test.prop([values], { numRuns: 2000 })("comes back as it was, whatever it is made of", (value) => {
    expect(roundTrip(value)).toStrictEqual(value);
  });

  test.prop([values])("is text that any database keeps: no lone surrogate, no NUL", (value) => {
    const text = encode(value, "value");
    expect(text.isWellFormed()).toBe(true);
    expect(text).not.toContain("\0");
  });

  test.prop([fc.jsonValue({ maxDepth: 4 })])("is plain JSON behind one letter where JSON keeps all of it", (any) => {
    const value = JSON.parse(JSON.stringify(any)); // JSON's own reading of it: without minus zero
    expect(encode(value, "value")).toBe(`j${JSON.stringify(value)}`);
  });

  it.each<[string, unknown]>([
    ["undefined", undefined],
    ["minus zero", -0],
    ["not a number", Number.NaN],
    ["infinity", Number.NEGATIVE_INFINITY],
    ["a lone surrogate", "\ud800 \udc00"],
    ["a lone surrogate beside a date", ["\ud800", new Date(0)]],
    ["NUL", "a\0b"],
    ["a date that is none", new Date(Number.NaN)],
    [
      "a Map with keys of all kinds",
      new Map<unknown, unknown>([
        [{}, 1],
        [[1], 2],
        [Number.NaN, 3],
      ]),
    ],
    ["a Set of Sets", new Set([new Set([1]), new Set()])],
    ["a sparse list", Object.assign(new Array(3), { 0: 1, 2: 3 })],
    ["a URL", new URL("https://example.com/a?b=c#d")],
    ["a regular expression", /a"b/gi],
    ["an ArrayBuffer", new Uint8Array([1, 2, 3]).buffer],
    ["floats", new Float64Array([0.1, Number.NaN, -0])],
    ["an object without a prototype", Object.assign(Object.create(null), { a: 1 })],
    ["a key named __proto__", JSON.parse('{"__proto__":{"a":1}}')],
    ["a key named __proto__ where JSON does not do", [JSON.parse('{"__proto__":{"a":1}}'), undefined]],
    ["keys named constructor and toString", [{ constructor: 1, toString: 2 }, undefined]],
    ["a date in an array in a map", new Map([["a", [new Date(5)]]])],
  ])("may be %s", (_, value) => {
    const back = roundTrip(value);
    expect(back).toStrictEqual(value);
    expect(Object.prototype).not.toHaveProperty("a");
  });

  it("keeps what is the same object, and cycles", () => {
    const list = [1];
    const value: { a: unknown; b: unknown; self?: unknown } = { a: list, b: list };
    value.self = value;
    const back = roundTrip(value) as typeof value;
    expect(back.a).toBe(back.b);
    expect(back.self).toBe(back);
  });

  it("keeps a cycle through a Map and a Set", () => {
    const map = new Map<string, unknown>();
    map.set("set", new Set([map]));
    const back = roundTrip(map) as typeof map;
    expect((back.get("set") as Set<unknown>).has(back)).toBe(true);
  });

  it("keeps an error's name, message, stack, cause and own fields, each as Error defines it", () => {
    const error = Object.assign(new TypeError("no", { cause: new Error("why") }), { status: 400 });
    const back = roundTrip({ error }) as { error: TypeError & { status: number } };
    expect(back.error).toBeInstanceOf(Error);
    expect(back.error).toMatchObject({ name: "TypeError", message: "no", stack: error.stack, status: 400 });
    expect(back.error.cause).toMatchObject({ message: "why" });
    expect(Object.keys(back.error)).toEqual(["status"]);
  });
});

describe("a value that cannot be kept", () => {
  class Socket {}
  function send() {}

  it.each<[string, unknown, string]>([
    ["a function", { stream: send }, "a function (send) at shared.stream"],
    ["a nameless function", { list: [0, [() => 0][0]] }, "a function at shared.list[1]"],
    ["a promise", { a: { b: Promise.resolve() } }, "an instance of Promise at shared.a.b"],
    ["a class instance", { "a b": new Socket() }, 'an instance of Socket at shared["a b"]'],
    ["a symbol", [Symbol("x")], "a symbol at shared[0]"],
    ["a symbol as key", { a: { [Symbol("x")]: 1 } }, "an object at shared.a"],
    [
      "a class instance whatever its keys",
      Object.defineProperty(new Socket(), "__proto__", { value: 1 }),
      "an instance of Socket at shared",
    ],
    ["a WeakMap in a Map", new Map([["k", new WeakMap()]]), 'an instance of WeakMap at shared.get("k")'],
  ])("is refused with its path: %s", (_, value, words) => {
    expect(() => encode(value, "shared")).toThrow(new TypeError(`Expected a value that can be stored, got ${words}`));
  });

  it("is refused even at the root, by the name it goes by", () => {
    expect(() => encode(send, () => "the result of item 3")).toThrow(
      "Expected a value that can be stored, got a function (send) at the result of item 3",
    );
  });
});

describe("a stored value as JSON for clients", () => {
  test.prop([fc.jsonValue({ maxDepth: 4 })])("is what JSON.stringify makes of JSON", (value) => {
    expect(JSON.parse(toJson(encode(value, "value")))).toEqual(JSON.parse(JSON.stringify(value)));
  });

  test.prop([values])("is always JSON", (value) => {
    expect(() => JSON.parse(toJson(encode(value, "value")))).not.toThrow();
  });

  it("says what JSON has no word for as its users expect", () => {
    const loop: { self?: unknown } = {};
    loop.self = loop;
    const value = {
      date: new Date(0),
      map: new Map([["a", 1]]),
      set: new Set([1]),
      big: 2n ** 70n,
      bytes: new Uint8Array([1, 2]),
      nothing: undefined,
      nan: Number.NaN,
      url: new URL("https://example.com/"),
      error: new RangeError("no"),
      loop,
      twice: [loop, loop],
    };
    expect(JSON.parse(toJson(encode(value, "value")))).toEqual({
      date: "1970-01-01T00:00:00.000Z",
      map: [["a", 1]],
      set: [1],
      big: "1180591620717411303424",
      bytes: [1, 2],
      nan: null,
      url: "https://example.com/",
      error: { name: "RangeError", message: "no" },
      loop: { self: "[circular]" },
      twice: [{ self: "[circular]" }, { self: "[circular]" }],
    });
    expect(toJson(encode(undefined, "value"))).toBe("null");
  });
});

describe("what is an alias of what", () => {
  const buffer = new ArrayBuffer(4);
  const inner = { deep: [1] };
  const shared = { list: [inner], map: new Map([["k", inner.deep]]) };

  it.each<[string, unknown, boolean]>([
    ["a fresh tree", { a: [1, { b: 2 }] }, true],
    ["a scalar", "text", true],
    ["nothing", undefined, true],
    ["a part of the other", shared.list, false],
    ["a list that holds a deep part of the other", [[inner.deep]], false],
    ["the other in a Map", new Map([["shared", shared]]), false],
    ["one object twice", Array(2).fill({}), false],
    ["one buffer under two views", [new Uint8Array(buffer), new Uint8Array(buffer)], false],
  ])("is found: %s", (_, value, isFree) => {
    expect(isApart(value, shared)).toBe(isFree);
  });

  it("is found however deep", () => {
    let nested: unknown = shared;
    for (let depth = 0; depth < 100_000; depth++) nested = [nested];
    expect(contains(nested, shared)).toBe(true);
    expect(isApart(nested, shared)).toBe(false);
  });

  it("is told of a container and what it holds", () => {
    expect(contains({ a: new Set([shared]) }, shared)).toBe(true);
    expect(contains(new Map([[shared, 1]]), shared)).toBe(true);
    expect(contains({ a: { ...shared } }, shared)).toBe(false);
  });
});
