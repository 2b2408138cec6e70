import { inBothOrders, numbered, type Programs, pause, step } from "./program.ts";

// The ways that branches take: along actions, round and round, to an early end, and all together at once.

interface Walks {
  log: string[];
  /** By the branch's number. */
  way: { [n: number]: string[] };
  peak: number;
  under: number;
}

interface Params {
  _params: { n?: number };
}

const three = () => numbered(3);

/** Notes that a branch came by, and leaves by an action. */
function stop(name: string, action?: (n: number, way: string[]) => string | undefined) {
  return {
    prep(this: Params) {
      return `${name} of ${this._params.n}`;
    },
    exec: (words: string) => words.toUpperCase(),
    post(this: Params, shared: Walks, _: string, words: string) {
      const n = this._params.n as number;
      shared.way[n] ??= [];
      const way = shared.way[n];
      way.push(words);
      return action?.(n, way);
    },
  };
}

const input = { way: {} };

/** Where branches go. */
export const ways: Programs = {
  ...inBothOrders(
    "a chain of nodes",
    (branches, { node, batch, flow }) => {
      const first = node(stop("first"));
      first.next(batch({ prep: () => [1, 2], exec: (item: number) => item })).next(node(stop("last")));
      return branches(flow(first), { prep: three });
    },
    { input },
  ),
  ...inBothOrders(
    "actions that lead each another way, and together again",
    (branches, { node, flow }) => {
      const choose = node(stop("choose", (n) => ["left", "right", ""][n]));
      const last = node(stop("last"));
      choose.on("left", node(stop("left"))).on("right", node(stop("right")));
      for (const action of ["left", "right"]) choose.getNextNode(action)?.next(last);
      choose.next(last);
      return branches(flow(choose), { prep: three });
    },
    { input },
  ),
  ...inBothOrders(
    "loops of different lengths",
    (branches, { node, flow }) => {
      const again = node(stop("again", (n, way) => (way.length <= 2 * n ? "again" : "enough")));
      again.on("again", again).on("enough", node(stop("after")));
      return branches(flow(again), { prep: three });
    },
    { input },
  ),
  ...inBothOrders(
    "an early end by an action that nobody takes",
    (branches, { node, flow }) => {
      const choose = node(stop("choose", (n) => (n === 1 ? "nowhere" : undefined)));
      choose.next(node(stop("second", (n) => (n === 2 ? "nowhere" : "on")))).on("on", node(stop("third")));
      return branches(flow(choose), { prep: three });
    },
    { input },
  ),
  ...inBothOrders(
    "a nested flow whose last action picks the branch's next node",
    (branches, { node, flow }) => {
      const inner = flow(flow(node(stop("inner", (n) => (n === 0 ? "left" : "right")))));
      inner.on("left", node(stop("left"))).on("right", node(stop("right")));
      return branches(flow(inner), { prep: three });
    },
    { input },
  ),
  ...inBothOrders("the action of post picks the node after them", (branches, spell) => {
    const first = step(spell, "first");
    const middle = branches(spell.node({ post: () => "of a branch" }), { prep: three, post: () => "of post" });
    middle.on("of a branch", step(spell, "never")).on("of post", step(spell, "taken")).next(step(spell, "neither"));
    first.next(middle);
    return spell.flow(first);
  }),
  ...inBothOrders("without an action of post's the default node is next", (branches, spell) => {
    const all = branches(spell.node({ post: () => "of a branch" }), { prep: three });
    all.on("of a branch", step(spell, "never")).next(step(spell, "taken", "end"));
    return spell.flow(all);
  }),
  ...inBothOrders("the action of post is the run's where they are the whole flow", (branches, spell) =>
    branches(step(spell, "only", "of a branch"), { prep: () => [{}], post: () => "of post" }),
  ),
  ...inBothOrders(
    "in a loop, over a list that changes",
    (branches, { node, flow }) => {
      const all = branches(node(stop("round")), {
        prep: (shared: Walks) => three().slice(0, 3 - shared.log.length),
        post(shared: Walks, list: object[]) {
          shared.log.push(`${list.length} branches`);
          return list.length > 0 ? "again" : "enough";
        },
      });
      all.on("again", all).end("enough");
      return flow(all);
    },
    { input },
  ),
  ...inBothOrders(
    "twice in a row over one node",
    (branches, { node, flow }) => {
      const shared = flow(node(stop("shared")));
      const first = branches(shared, { prep: three });
      first.next(branches(shared, { prep: () => three().reverse() }));
      return flow(first);
    },
    { input },
  ),
  ...inBothOrders(
    "hooks that suspend",
    (branches, { node, flow }) => {
      const slow = node({
        async prep() {
          await pause(3 - (this._params["n"] as number));
          return this._params["n"];
        },
        async exec(n: number) {
          await pause(1 + n);
          return `${n} done`;
        },
        async post(shared: Walks, n: number, word: string) {
          await pause();
          shared.way[n] = [word];
        },
      });
      return branches(flow(slow), {
        async prep() {
          await pause();
          return three();
        },
        async post(shared: Walks, list: object[]) {
          await pause();
          shared.log.push(`${list.length} done`);
        },
      });
    },
    { input },
  ),
  "branches in order: each begins once the one before has ended": {
    flow: (spell) => {
      const first = step(spell, "first");
      first.next(step(spell, "last"));
      return spell.batchFlow(spell.flow(first), { prep: three });
    },
  },
};

/** So many branches, of which `concurrency` may be under way; how many were at most is in shared. */
function crowd(sentence: string, count: number, concurrency?: number): Programs {
  return {
    [`branches at once: ${sentence}`]: {
      flow: ({ node, flow, parallelFlow }) => {
        const enter = node({
          prep(shared: Walks) {
            shared.peak = Math.max(shared.peak, ++shared.under);
          },
        });
        const leave = node({
          post(shared: Walks) {
            shared.under--;
          },
        });
        enter.next(node({ exec: () => pause(3) })).next(leave);
        const prep = () => numbered(count);
        return parallelFlow(flow(enter), { prep }, concurrency === undefined ? {} : { concurrency });
      },
      input: { ...input, under: 0, peak: 0 },
    },
  };
}

export const crowds: Programs = {
  ...crowd("one under way, by their concurrency", 4, 1),
  ...crowd("two under way, by their concurrency", 5, 2),
  ...crowd("all under way, with more concurrency than branches", 5, 50),
  ...crowd("all of five under way", 5),
  ...crowd("all of forty under way", 40),
};

/** A turn of a branch that no other interrupts: what post wrote, the branch's next prep finds. */
export const turns: Programs = Object.fromEntries(
  [
    { sentence: "does not suspend", exec: () => "at once" },
    { sentence: "suspends", exec: () => pause() },
  ].map(({ sentence, exec }) => [
    `branches at once: post and the next prep are one turn, where exec ${sentence}`,
    {
      flow: ({ node, flow, parallelFlow }) => {
        const write = node({
          exec,
          post(shared: { scratch: unknown }) {
            shared.scratch = this._params["n"];
          },
        });
        const read = node({
          prep: (shared: { scratch: unknown }) => shared.scratch,
          post(shared: { read: unknown[] }, scratch: unknown) {
            shared.read[this._params["n"] as number] = scratch;
          },
        });
        const inner = flow(flow(write));
        inner.next(flow(read));
        return parallelFlow(flow(inner), {
          prep: () => numbered(5),
          post(shared: { scratch: unknown }) {
            delete shared.scratch;
          },
        });
      },
      input: { read: [0, 0, 0, 0, 0] },
    },
  ]),
);
