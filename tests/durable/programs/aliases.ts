import type { Programs } from "./program.ts";
import { posts } from "./writes.ts";

interface Aliased {
  list: { n: number }[];
  best: { n: number };
  same: unknown;
  seen: unknown;
}

interface Knot {
  self: Knot;
  up: { down: Knot };
}

/** What is one object under two names stays one. */
export const aliases: Programs = {
  "aliases: an element of a list by another name": {
    flow: posts(
      (shared: Aliased) => {
        shared.best = shared.list[1] as { n: number };
      },
      ({ best }: Aliased) => best.n++,
      ({ list }: Aliased) => (list[1] as { n: number }).n++,
      (shared: Aliased) => {
        shared.seen = [
          shared.best === shared.list[1],
          shared.list.indexOf(shared.best),
          shared.list.includes(shared.best),
        ];
      },
    ),
    input: { list: [{ n: 0 }, { n: 10 }] },
  },
  "aliases: one list under two keys, of which one is replaced": {
    flow: posts(
      (shared: Aliased) => {
        shared.same = shared.list;
      },
      ({ list }: Aliased) => list.push({ n: 3 }),
      (shared: Aliased) => {
        shared.list = [];
      },
      ({ list }: Aliased) => list.push({ n: 4 }),
    ),
    input: { list: [] },
  },
  "aliases: two elements change places, and one is in twice": {
    flow: posts(
      ({ list }: Aliased) => {
        [list[0], list[1]] = [list[1] as { n: number }, list[0] as { n: number }];
      },
      ({ list }: Aliased) => list.push(list[0] as { n: number }),
      ({ list }: Aliased) => (list[2] as { n: number }).n++,
    ),
    input: { list: [{ n: 1 }, { n: 2 }] },
  },
  "aliases: a cycle that is made, walked and cut": {
    flow: posts(
      (shared: { node: { [key: string]: unknown } }) => {
        shared.node["self"] = shared.node;
        shared.node["up"] = { down: shared.node };
      },
      (shared: { node: Knot; seen: unknown }) => {
        shared.seen = shared.node.self.self === shared.node && shared.node.up.down === shared.node;
      },
      ({ node }: { node: { [key: string]: unknown } }) => delete node["self"],
    ),
    input: { node: {} },
  },
  "aliases: raw references that are kept after they were put into shared": {
    flow: posts(
      (shared: Aliased) => {
        const one = { n: 1 };
        shared.list.push(one);
        one.n = 2;
        shared.best = one;
        one.n = 3;
        shared.seen = [shared.best === shared.list[0], shared.list.indexOf(one), shared.list.includes(one)];
      },
      ({ best }: Aliased) => best.n++,
    ),
    input: { list: [] },
  },
  "aliases: prep puts one list into shared, on the node and out to post": {
    flow: ({ node, flow }) => {
      const collect = node({
        prep(shared: { list: unknown[] }) {
          const list = ["of prep"];
          shared.list = list;
          this["list"] = list;
          return list;
        },
        exec: (list: string[]) => list.join(),
        post(shared: { list: unknown[]; seen: unknown }, prepRes: unknown[], text: string) {
          prepRes.push(`by prepRes: ${text}`);
          shared.list.push("by shared");
          (this["list"] as unknown[]).push("by the field");
          shared.seen = prepRes === shared.list;
        },
      });
      return flow(collect);
    },
  },
  "aliases: what prep returned of shared, in a batch": {
    flow: ({ node, parallel, flow }) => {
      const grade = parallel({
        prep: (shared: Aliased) => shared.list,
        exec: ({ n }: { n: number }) => n * 2,
        post(shared: Aliased, list: { n: number }[], results: number[]) {
          for (const [index, n] of results.entries()) (list[index] as { n: number }).n = n;
          shared.seen = [list === shared.list, list[0] === shared.best];
        },
      });
      const first = node({
        post(shared: Aliased) {
          shared.best = shared.list[0] as { n: number };
        },
      });
      first.next(grade);
      return flow(first);
    },
    input: { list: [{ n: 1 }, { n: 2 }] },
  },
  "aliases: a copy is no alias": {
    flow: posts(
      (shared: Aliased) => {
        shared.same = structuredClone(shared.list);
        shared.best = { ...(shared.list[0] as { n: number }) };
      },
      ({ list }: Aliased) => (list[0] as { n: number }).n++,
      (shared: Aliased) => {
        shared.seen = JSON.stringify([shared.same, shared.best, shared.list]);
      },
    ),
    input: { list: [{ n: 1 }] },
  },
  "aliases: parts that are frozen are read and replaced": {
    flow: posts(
      (shared: { config: { deep: { n: number } }; seen: unknown }) => {
        shared.config = Object.freeze({ deep: Object.freeze({ n: 1 }) });
        shared.seen = [shared.config.deep.n, Object.isFrozen(shared.config), { ...shared.config }];
      },
      (shared: { config: { deep: { n: number } }; seen: unknown }) => {
        shared.config = { ...shared.config, deep: { n: shared.config.deep.n + 1 } };
      },
    ),
  },
};
