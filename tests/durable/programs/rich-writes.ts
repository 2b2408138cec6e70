import type { Programs, Shared } from "./program.ts";
import { posts } from "./writes.ts";

interface Collections {
  map: Map<unknown, unknown>;
  set: Set<unknown>;
  seen: unknown;
}

/** What JSON has no word for. */
export const richWrites: Programs = {
  "shared: a Map gets, loses and replaces entries": {
    flow: posts(
      (shared: Collections) => {
        shared.map = new Map<unknown, unknown>([
          ["a", 1],
          ["b", { n: 2 }],
        ]);
      },
      ({ map }: Collections) => map.set("c", []).set("a", "replaced in its place"),
      ({ map }: Collections) => (map.get("b") as { n: number }).n++,
      ({ map }: Collections) => {
        map.delete("a");
        map.set("a", "now the last").set(Number.NaN, -0);
      },
      (shared: Collections) => {
        const { map } = shared;
        shared.seen = [map.size, [...map.keys()], map.has("c"), map.get(Number.NaN), map instanceof Map];
        for (const [key, value] of map) if (Array.isArray(value)) map.delete(key);
      },
    ),
  },
  "shared: a Set gets and loses members": {
    flow: posts(
      (shared: Collections) => {
        shared.set = new Set(["a", "b", 3]);
      },
      ({ set }: Collections) => set.add("c").add("a").delete("b"),
      (shared: Collections) => {
        shared.seen = [shared.set.size, [...shared.set], shared.set.union(new Set([9])), shared.set.has("b")];
        shared.set.clear();
      },
      ({ set }: Collections) => set.add("after all"),
    ),
  },
  "shared: a Map of Maps of Sets": {
    flow: posts(
      (shared: Collections) => {
        shared.map = new Map([["outer", new Map([["inner", new Set([1])]])]]);
      },
      ({ map }: Collections) => (map.get("outer") as Map<string, Set<number>>).get("inner")?.add(2),
      ({ map }: Collections) => (map.get("outer") as Map<string, Set<number>>).set("more", new Set()),
      (shared: Collections) => {
        const outer = shared.map.get("outer") as Map<string, Set<number>>;
        shared.seen = [...outer].map(([key, set]) => [key, set.size]);
      },
    ),
  },
  "shared: objects as keys of a Map and members of a Set": {
    flow: posts(
      (shared: Collections & { people: object[] }) => {
        shared.map = new Map(shared.people.map((person, index) => [person, index]));
        shared.set = new Set(shared.people.slice(1));
      },
      (shared: Collections & { people: object[] }) => {
        const [first, second] = shared.people as [object, object];
        shared.seen = [shared.map.get(first), shared.map.get(second), shared.set.has(first), shared.set.has(second)];
        shared.map.delete(first);
        shared.set.delete(second);
      },
    ),
    input: { people: [{ name: "ada" }, { name: "bob" }, { name: "cyd" }] },
  },
  "shared: a Date is set forward": {
    flow: posts(
      (shared: { at: Date }) => {
        shared.at = new Date(1e12);
      },
      ({ at }: { at: Date }) => at.setUTCFullYear(2030),
      ({ at }: { at: Date }) => at.setTime(at.getTime() + 1),
      (shared: { at: Date; text: string }) => {
        shared.text = `${shared.at.toISOString()} ${shared.at instanceof Date} ${Number(shared.at)}`;
      },
    ),
  },
  "shared: typed arrays, two of them over one buffer": {
    flow: posts(
      (shared: { bytes: Uint8Array; words: Uint16Array; floats: Float64Array }) => {
        const buffer = new ArrayBuffer(8);
        shared.bytes = new Uint8Array(buffer);
        shared.words = new Uint16Array(buffer, 2, 2);
        shared.floats = Float64Array.of(0.1, Number.POSITIVE_INFINITY);
      },
      ({ bytes, floats }: { bytes: Uint8Array; floats: Float64Array }) => {
        bytes.set([1, 2, 3, 4]);
        floats[0] = -0;
      },
      ({ words }: { words: Uint16Array }) => {
        words[1] = 0x0605;
      },
      (shared: { bytes: Uint8Array; words: Uint16Array; seen: unknown }) => {
        shared.seen = [[...shared.bytes], shared.words.buffer === shared.bytes.buffer, shared.words.byteOffset];
      },
    ),
  },
  "shared: numbers and texts that JSON has no word for": {
    flow: posts(
      (shared: Shared) => Object.assign(shared, { big: 2n ** 64n, zero: -0, nan: Number.NaN, nothing: undefined }),
      (shared: Shared) => {
        shared.big = (shared.big as bigint) + 1n;
        shared["__proto__key"] = ["\u2028", "\ud83d\ude00", "\0"];
        shared.seen = [Object.is(shared.zero, -0), Number.isNaN(shared.nan), "nothing" in shared];
      },
    ),
  },
};
