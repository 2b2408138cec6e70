import type { Spelling } from "../../core/spelling.ts";
import type { Program, Programs } from "./program.ts";

// What hooks may do to shared. Each program is a chain of posts, so that what one wrote is stored before the next one looks.

type Post = (this: { [field: string]: unknown }, shared: never) => unknown;

/** A chain of nodes, one for each post. */
export function posts(...steps: Post[]): Program["flow"] {
  return ({ node, flow }: Spelling) => {
    const nodes = steps.map((post) =>
      node({
        post(shared: never) {
          post.call(this, shared);
        },
      }),
    );
    for (const [index, at] of nodes.slice(0, -1).entries()) at.next(nodes[index + 1] as (typeof nodes)[number]);
    return flow(nodes[0] as (typeof nodes)[number]);
  };
}

interface Lists {
  list: number[];
  other: unknown;
}

interface Trees {
  tree: { [key: string]: unknown };
  other: unknown;
}

/** Arrays, objects, keys. */
export const plainWrites: Programs = {
  "shared: an array is pushed to, spliced, sorted, shifted and cut": {
    flow: posts(
      ({ list }: Lists) => list.push(5, 1, 4),
      ({ list }: Lists) => list.splice(1, 2, 9, 8, 7),
      ({ list }: Lists) => list.sort((a, b) => b - a),
      ({ list }: Lists) => [list.shift(), list.unshift(0), list.reverse()],
      ({ list }: Lists) => list.copyWithin(0, 2, 3).fill(6, 1, 2),
      (shared: Lists) => {
        shared.other = [shared.list.pop(), shared.list.length, shared.list.includes(9)];
        shared.list.length = 3;
      },
    ),
    input: { list: [3, 2] },
  },
  "shared: an array grows beyond its end, and has holes": {
    flow: posts(
      ({ list }: Lists) => {
        list[4] = 5;
      },
      (shared: Lists) => {
        shared.other = [2 in shared.list, Object.keys(shared.list), shared.list.length];
        delete shared.list[0];
      },
    ),
    input: { list: [1, 2] },
  },
  "shared: an array is replaced by what was made of it": {
    flow: posts(
      (shared: Lists) => {
        shared.list = shared.list.filter((n) => n % 2 === 1).map((n) => n * 10);
      },
      (shared: Lists) => {
        shared.list = [...shared.list, ...shared.list.toSorted()];
      },
      (shared: Lists) => {
        const [first, ...rest] = shared.list;
        shared.other = { first, rest, sum: shared.list.reduce((a, b) => a + b), is: Array.isArray(shared.list) };
      },
    ),
    input: { list: [5, 2, 3] },
  },
  "shared: objects in objects change, come and go": {
    flow: posts(
      ({ tree }: Trees) => {
        tree["a"] = { deep: [{ deeper: 1 }] };
      },
      ({ tree }: Trees) => {
        (tree as { a: { deep: { deeper: number }[] } }).a.deep[0] = { deeper: 2 };
      },
      ({ tree }: Trees) => {
        (tree as { a: { deep: { deeper: number }[] } }).a.deep.push({ deeper: 3 });
        delete tree["old"];
      },
      ({ tree }: Trees) => Object.assign(tree, { x: undefined, y: null }),
      (shared: Trees) => {
        shared.other = ["x" in shared.tree, "old" in shared.tree, Object.hasOwn(shared.tree, "y")];
      },
    ),
    input: { tree: { old: { kept: false }, young: true } },
  },
  "shared: keys keep their order, and one that is put in again comes last": {
    flow: posts(
      ({ tree }: Trees) => Object.assign(tree, { z: 1, b: 2, 7: "seven", a: 3 }),
      ({ tree }: Trees) => {
        const { z } = tree;
        delete tree["z"];
        tree["z"] = z;
      },
      (shared: Trees) => {
        shared.tree["b"] = "changed in its place";
        shared.other = Object.keys(shared.tree);
      },
    ),
    input: { tree: { first: 0 } },
  },
  "shared: top-level keys are taken away, and others put there": {
    flow: posts(
      (shared: { [key: string]: unknown }) => {
        delete shared["a"];
        shared["c"] = shared["b"];
      },
      (shared: { [key: string]: unknown }) => {
        delete shared["b"];
        shared["a"] = { again: true };
      },
      (shared: { [key: string]: unknown }) => {
        shared["keys"] = Object.keys(shared);
      },
    ),
    input: { a: 1, b: { two: 2 } },
  },
  "shared: prep writes too": {
    flow: ({ node, flow }) => {
      const count = node({
        prep(shared: { counts: number[] }) {
          shared.counts.push(shared.counts.length);
          return shared.counts.length;
        },
        exec: (length: number) => -length,
        post(shared: { counts: number[] }, _: number, result: number) {
          shared.counts.push(result);
          return shared.counts.length < 8 ? "again" : "enough";
        },
      });
      count.on("again", count).end("enough");
      return flow(count);
    },
    input: { counts: [] },
  },
  "shared: a loop that adds to it thirty times": {
    flow: ({ node, flow }) => {
      const count = node({
        post({ list, sums }: { list: number[]; sums: { [n: number]: number } }) {
          list.push(list.length);
          sums[list.length % 7] = (sums[list.length % 7] ?? 0) + list.length;
          return list.length < 30 ? "again" : "enough";
        },
      });
      count.on("again", count).end("enough");
      return flow(count);
    },
    input: { list: [], sums: {} },
  },
};
