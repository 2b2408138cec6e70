import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { teachStructuredClone } from "../../src/core/clone.ts";
import { expectAlike, Stored } from "./journal-twin.ts";
import { begin, type Shared } from "./journal-world.ts";

const untaught = structuredClone;

beforeAll(teachStructuredClone);

afterAll(() => {
  globalThis.structuredClone = untaught;
});

describe("structuredClone", () => {
  it("takes a proxy for what is behind it", () => {
    const stored = new Stored(begin());
    const copy = structuredClone(stored.shared());
    expectAlike(copy, untaught(begin()));
    expect(stored.journal.touches(copy)).toBe(false);
    expect(copy.best).toBe(copy.items[0]);
  });

  it("takes proxies inside fresh values, and leaves them there", () => {
    const stored = new Stored(begin());
    const { best, items, map } = stored.shared();
    /** A value that leads back to itself, around what it is given. */
    const around = (shared: Pick<Shared, "best" | "items" | "map">) => {
      const list = Object.assign(new Array(3), { 1: shared.items, 2: 1 });
      const value = { list, map: new Map([[shared.best, shared.map]]), set: new Set([shared.best]), at: new Date(1) };
      return Object.assign(value, { best: shared.best, loop: { value } });
    };
    const value = around({ best, items, map });
    const copy = structuredClone(value);
    expectAlike(copy, untaught(around(stored.raw)));
    expect(stored.journal.touches(copy)).toBe(false);
    expect(value.best).toBe(best);
    expect(value.list[1]).toBe(items);
  });

  it("takes an error with a proxy as its cause", () => {
    const stored = new Stored(begin());
    const error = new TypeError("no", { cause: [stored.shared().best] });
    const copy = structuredClone(error);
    expect(copy).toBeInstanceOf(TypeError);
    expect([copy.message, copy.stack, copy.cause]).toEqual(["no", error.stack, [begin().best]]);
  });

  it("takes what holds a proxy behind a proxy", () => {
    const stored = new Stored(begin());
    const shared = stored.shared();
    const made: unknown[] = [];
    shared.made = made;
    made.push(shared.best);
    const copy = structuredClone(shared);
    expect((copy.made as unknown[])[0]).toBe(copy.best);
  });

  it("is what it was for everything else", () => {
    const value = { a: [1], at: new Date(0), buffer: new ArrayBuffer(2) };
    const copy = structuredClone(value, { transfer: [value.buffer] });
    expect(copy).toEqual({ ...value, buffer: new ArrayBuffer(2) });
    expect(value.buffer.byteLength).toBe(0);
    expect(structuredClone("text")).toBe("text");
    expect(() => structuredClone(() => {})).toThrow("could not be cloned");
    const stored = new Stored<Record<string, unknown>>({});
    stored.shared().send = () => {};
    expect(() => structuredClone(stored.shared())).toThrow("could not be cloned");
  });

  it("is taught once", () => {
    const taught = structuredClone;
    teachStructuredClone();
    expect(structuredClone).toBe(taught);
    expect(taught).not.toBe(untaught);
  });
});
