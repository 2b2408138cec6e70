import type { Spelling } from "../../core/spelling.ts";
import { type Programs, pause, type Shared } from "./program.ts";

const doubled = (number: number) => 2 * number;

/** Later items end first. */
async function doubledLate(number: number) {
  await pause(Math.max(0, 30 - 10 * number));
  return 2 * number;
}

function keep(shared: Shared, prepRes: unknown, results: unknown) {
  shared.prepRes = prepRes;
  shared.results = results;
}

/** A flow over one batch in each kind of batch node. */
function batches(name: string, prep: (shared: Shared) => unknown, input = {}): Programs {
  const over = (kind: "batch" | "parallel") => ({
    flow: (spell: Spelling) => spell.flow(spell[kind]({ prep, exec: doubled, post: keep })),
    input,
  });
  return { [`a batch: ${name}`]: over("batch"), [`a parallel batch: ${name}`]: over("parallel") };
}

class RemotePages {
  async *[Symbol.asyncIterator]() {
    yield* [1, 2];
    await pause(1);
    yield 3;
  }
}

/** Lists of items of every kind, in order and all at once. */
export const lists: Programs = {
  ...batches("an array of shared", (shared) => shared.numbers, { numbers: [3, 1, 2] }),
  ...batches("one item", () => [7]),
  ...batches("an empty array", () => []),
  ...batches("undefined", () => undefined),
  ...batches("null", () => null),
  ...batches("an array that comes late", async () => {
    await pause(1);
    return [1, 2, 3];
  }),
  ...batches("a generator", function* () {
    yield* [1, 2, 3];
  }),
  ...batches("a generator that yields nothing", function* () {}),
  ...batches("a Set", () => new Set([1, 2, 3])),
  ...batches("an empty Set", () => new Set()),
  ...batches("the values of a Map", () => new Map([["a", 1]]).values()),
  ...batches("a typed array", () => new Uint8Array([1, 2, 3])),
  ...batches("an async generator", async function* () {
    yield 1;
    await pause(1);
    yield* [2, 3];
  }),
  ...batches("an async generator that yields nothing", async function* () {}),
  ...batches("an async iterable of one's own", () => new RemotePages()),
};

/** What batches do with their items. */
export const batchwork: Programs = {
  "a parallel batch of more items than one page of storage holds": {
    flow: ({ parallel, flow }) =>
      flow(
        parallel(
          { prep: () => Array.from({ length: 1100 }, (_, index) => index), exec: doubled, post: keep },
          { concurrency: 256, perExecutor: 64 },
        ),
      ),
  },
  "a batch over the letters of a word": {
    flow: ({ batch, flow }) =>
      flow(batch({ prep: () => "höf😀", exec: (letter: string) => letter.length, post: keep })),
  },
  "a batch over the entries of a Map": {
    flow: ({ parallel, flow }) =>
      flow(
        parallel({
          prep: () =>
            new Map([
              ["a", { n: 1 }],
              ["b", { n: 2 }],
            ]),
          exec: ([key, { n }]: [string, { n: number }]) => key.repeat(n),
          post: keep,
        }),
      ),
  },
  "a parallel batch whose later items end first": {
    flow: ({ parallel, flow }) => flow(parallel({ prep: () => [0, 1, 2, 3], exec: doubledLate, post: keep })),
  },
  "a parallel batch wider than its concurrency": {
    flow: ({ parallel, flow }) =>
      flow(parallel({ prep: () => [0, 1, 2, 3, 4, 5, 6], exec: doubledLate, post: keep }, { concurrency: 2 })),
  },
  "batches in a row and in a loop": {
    flow: ({ batch, parallel, flow }) => {
      const double = parallel({
        prep: (shared: Shared) => shared.numbers,
        exec: doubled,
        post(shared: Shared, _: unknown, results: number[]) {
          shared.numbers = results;
        },
      });
      const sum = batch({
        prep: (shared: Shared) => shared.numbers,
        exec: (number: number) => number + 1,
        post(shared: Shared, _: unknown, results: number[]) {
          shared.numbers = results;
          shared.log.push(results.join());
          return (results[0] as number) < 20 ? "again" : "enough";
        },
      });
      double.next(sum).on("again", double).end("enough");
      return flow(double);
    },
    input: { numbers: [1, 2, 3] },
  },
  "a list of shared that post changes through what prep returned": {
    flow: ({ batch, flow }) =>
      flow(
        batch({
          prep: (shared: Shared) => shared.numbers,
          exec: doubled,
          post(shared: Shared, prepRes: number[], results: number[]) {
            prepRes.push(...results);
            shared.isSame = prepRes === shared.numbers;
          },
        }),
      ),
    input: { numbers: [1, 2] },
  },
  "an object of shared that post changes through what prep returned": {
    flow: ({ node, flow }) =>
      flow(
        node({
          prep: (shared: Shared) => ({ user: (shared.users as object[])[0] }),
          exec: ({ user }: { user: { name: string } }) => user.name.toUpperCase(),
          post(shared: Shared, { user }: { user: { name: string } }, name: string) {
            user.name = name;
            shared.isSame = (shared.users as object[])[0] === user;
          },
        }),
      ),
    input: { users: [{ name: "ada" }] },
  },
  "one object twice in a batch": {
    flow: ({ batch, flow }) =>
      flow(
        batch({
          prep() {
            const one = { n: 1 };
            return [one, one];
          },
          exec: ({ n }: { n: number }) => n,
          post(shared: Shared, prepRes: object[], results: number[]) {
            keep(shared, prepRes, results);
            shared.isSame = prepRes[0] === prepRes[1];
          },
        }),
      ),
  },
};
