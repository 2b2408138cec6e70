import type { Programs } from "./program.ts";
import { posts } from "./writes.ts";

// What the platform itself does with parts of shared, and to them.

interface Numbers {
  list: number[];
  seen: unknown;
}

interface Bytes {
  bytes: Uint8Array;
  big: BigInt64Array;
  seen: unknown;
}

interface Tree {
  tree: { a: { n: number }; [key: string]: unknown };
  map: Map<unknown, unknown>;
  seen: unknown;
}

interface Person {
  name: string;
}

export const natives: Programs = {
  "natives: what arrays can do without changing": {
    flow: posts((shared: Numbers) => {
      const { list } = shared;
      const groups = Object.groupBy(list, (n) => (n % 2 === 1 ? "odd" : "even"));
      const found = [list.at(-1), list.findLast((n) => n > 1), list.indexOf(2), Math.max(...list)];
      shared.seen = [
        groups,
        found,
        [0].concat(list),
        list.with(0, 9),
        list.toSpliced(0, 1),
        list.flatMap((n) => [n, n]),
      ];
    }),
    input: { list: [3, 1, 2] },
  },
  "natives: objects are sorted, and found again": {
    flow: posts(
      (shared: { people: Person[]; seen: unknown }) => {
        const first = shared.people[0] as Person;
        shared.people.sort((a, b) => (a.name < b.name ? -1 : 1));
        shared.seen = shared.people.indexOf(first);
      },
      ({ people }: { people: Person[] }) => {
        (people[0] as Person).name = "abe";
      },
    ),
    input: { people: [{ name: "cyd" }, { name: "ada" }, { name: "bob" }] },
  },
  "natives: collections that change while they are walked": {
    flow: posts(
      (shared: { set: Set<number>; map: Map<string, number> }) => {
        shared.set = new Set([1, 2]);
        shared.map = new Map([["a", 1]]);
      },
      ({ set, map, list }: { set: Set<number>; map: Map<string, number> } & Numbers) => {
        for (const n of set) if (n < 5) set.add(n + 2);
        for (const [key, n] of map) if (n < 3) map.set(key + n, n + 1);
        map.forEach((n, key) => {
          if (n === 1) map.delete(key);
        });
        for (const n of list) if (list.length < 5) list.push(n * 10);
      },
    ),
    input: { list: [3, 1, 2] },
  },
  "natives: sets with sets": {
    flow: posts(
      (shared: { set: Set<number> }) => {
        shared.set = new Set([1, 2, 3]);
      },
      (shared: { set: Set<number>; seen: unknown }) => {
        const { set } = shared;
        const other = new Set([2, 9]);
        shared.seen = [
          other.intersection(set),
          set.difference(other),
          set.isSupersetOf(new Set([1])),
          [...set.entries()],
        ];
      },
    ),
  },
  "natives: bytes through other views of them": {
    flow: posts(
      (shared: Bytes) => {
        shared.bytes = new Uint8Array(6);
        shared.big = BigInt64Array.of(1n, -1n);
      },
      ({ bytes }: Bytes) => {
        bytes.subarray(1, 3)[0] = 9;
      },
      ({ bytes, big }: Bytes) => {
        new DataView(bytes.buffer).setUint8(4, 7);
        big[0] = 5n;
      },
      (shared: Bytes) => {
        shared.bytes.fill(1, 5).reverse();
        shared.seen = [[...shared.bytes], ArrayBuffer.isView(shared.bytes), shared.big[1]];
      },
    ),
  },
  "natives: bytes as text": {
    flow: posts(
      (shared: Bytes) => {
        shared.bytes = new TextEncoder().encode("h\u00e9llo");
      },
      (shared: Bytes) => {
        shared.seen = [new TextDecoder().decode(shared.bytes), Object.prototype.toString.call(shared.bytes)];
      },
    ),
  },
  "natives: a URL that changes": {
    flow: posts(
      (shared: { url: URL }) => {
        shared.url = new URL("https://example.com/?page=1");
      },
      ({ url }: { url: URL }) => url.searchParams.set("page", "2"),
      (shared: { url: URL; seen: unknown }) => {
        shared.url.pathname = "/list";
        shared.seen = String(shared.url);
      },
    ),
  },
  "natives: a Date as a number, as text, and as the key of a Map": {
    flow: posts(
      (shared: { at: Date; map: Map<Date, string> }) => {
        shared.at = new Date(10);
        shared.map = new Map([[shared.at, "then"]]);
      },
      (shared: { at: Date; map: Map<Date, string>; seen: unknown }) => {
        const { at, map } = shared;
        shared.seen = [Number(at) - 3, `${at.toJSON()}`, at < new Date(20), new Date(at).getTime(), map.get(at)];
        at.setMilliseconds(99);
      },
    ),
  },
  "natives: shared as a whole, cloned and as JSON": {
    flow: posts(
      (shared: Tree) => {
        shared.map = new Map([["tree", shared.tree]]);
        shared.seen = JSON.stringify(shared);
      },
      (shared: Tree & { copy: Tree }) => {
        const copy = structuredClone(shared);
        copy.tree.a.n = 5;
        shared.copy = copy;
      },
      (shared: Tree & { copy: Tree }) => {
        const { copy } = shared;
        shared.seen = [shared.tree.a.n, copy.tree.a.n, copy.map.get("tree") === copy.tree, Object.keys(shared)];
      },
    ),
    input: { tree: { a: { n: 1 } } },
  },
  "natives: shared within itself": {
    flow: posts(
      (shared: { self: unknown[] }) => shared.self.push(shared),
      (shared: { self: { extra?: number }[]; seen: unknown }) => {
        const [self] = shared.self;
        shared.seen = self === (shared as unknown);
        if (self) self.extra = 1;
      },
    ),
    input: { self: [] },
  },
  "natives: an object that is taken out, changed and put in elsewhere": {
    flow: posts(
      (shared: Tree & { held?: { n: number } }) => {
        shared.held = shared.tree.a;
        delete (shared.tree as { a?: unknown }).a;
        shared.held.n = 2;
      },
      (shared: Tree & { held?: { n: number } }) => {
        shared.tree["again"] = shared.held;
        delete shared.held;
        (shared.tree["again"] as { n: number }).n++;
      },
      (shared: Tree) => {
        const { again, ...rest } = shared.tree;
        shared.tree = { ...rest, a: again as { n: number } };
        (again as { n: number }).n++;
      },
    ),
    input: { tree: { a: { n: 1 }, b: true } },
  },
  "natives: objects without a prototype, and a key that is one": {
    flow: posts(
      (shared: { bare: { [key: string]: unknown }; odd: object }) => {
        shared.bare = Object.assign(Object.create(null), { x: 1 });
        shared.odd = JSON.parse('{"__proto__": {"x": 1}, "a": 2}');
      },
      (shared: { bare: { [key: string]: unknown }; odd: { [key: string]: unknown }; seen: unknown }) => {
        shared.bare["y"] = Object.getPrototypeOf(shared.bare);
        shared.odd["b"] = Object.keys(shared.odd);
        shared.seen = [shared.odd["x"], Object.hasOwn(shared.odd, "__proto__")];
      },
    ),
  },
};
