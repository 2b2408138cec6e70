import { describe, expect, it } from "vitest";
import { Stored } from "./journal-twin.ts";
import { begin, type Item, type Shared } from "./journal-world.ts";

describe("what a writer holds without a proxy", () => {
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
});

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
