import { inBothOrders, numbered, type Programs } from "./program.ts";

// Walks that are bounded by `maxSteps`.

interface Counts {
  log: string[];
  /** How often each branch has come by. */
  counts: number[];
}

/** Comes back until it was there so often. */
function rounds(most: (n: number) => number) {
  return {
    post(this: { _params: { n?: number } }, { counts }: Counts) {
      const { n = 0 } = this._params;
      counts[n] = (counts[n] ?? 0) + 1;
      return (counts[n] as number) < most(n) ? "again" : "enough";
    },
  };
}

const three = () => numbered(3);
const input = { counts: [0, 0, 0] };

export const bounded: Programs = {
  "maxSteps: a loop that makes them all": {
    flow: ({ node, flow }) => {
      const again = node(rounds(() => 20));
      again.on("again", again).end("enough");
      return flow(again, {}, { maxSteps: 20 });
    },
    input,
  },
  "maxSteps: a loop that would make one more": {
    flow: ({ node, flow }) => {
      const again = node(
        rounds(() => 21),
        { name: "Again" },
      );
      again.on("again", again).end("enough");
      return flow(again, {}, { name: "Loop", maxSteps: 20 });
    },
    input,
    fails: "Expected flow `Loop` to end within 20 steps (maxSteps), got a 21st: `Again`",
  },
  "maxSteps: a nested flow is one step, and counts anew at each visit": {
    flow: ({ node, flow }) => {
      const again = node(rounds(() => 3));
      again.on("again", again);
      const inner = flow(again, {}, { maxSteps: 3 });
      const reset = node({
        post(shared: Counts) {
          shared.log.push(`${shared.counts[0]} rounds`);
          shared.counts[0] = 0;
          return shared.log.length < 3 ? "again" : "enough";
        },
      });
      inner.on("enough", reset);
      reset.on("again", inner).end("enough");
      return flow(inner, {}, { maxSteps: 6 });
    },
    input,
  },
  "maxSteps: an outer flow counts its own": {
    flow: ({ node, flow }) => {
      const inner = flow(node(), {}, { maxSteps: 1 });
      inner.next(node()).next(node({}, { name: "Third" }));
      return flow(inner, {}, { name: "Outer", maxSteps: 2 });
    },
    fails: "Expected flow `Outer` to end within 2 steps (maxSteps), got a 3rd: `Third`",
  },
  "maxSteps: branches at once, each of which makes them all": {
    flow: ({ node, parallelFlow }) => {
      const again = node(rounds(() => 4));
      again.on("again", again);
      return parallelFlow(again, { prep: three }, { maxSteps: 4 });
    },
    input,
  },
  "maxSteps: branches at once, of which one would make one more": {
    flow: ({ node, parallelFlow }) => {
      const again = node(
        rounds((n) => 3 + (n % 2)),
        { name: "Again" },
      );
      again.on("again", again).end("enough");
      return parallelFlow(again, { prep: three }, { name: "Loops", maxSteps: 3 });
    },
    input,
    fails: "Expected flow `Loops` to end within 3 steps (maxSteps), got a 4th: `Again`",
  },
  "maxSteps: branches in order, of which one would make one more": {
    flow: ({ node, batchFlow }) => {
      const again = node(
        rounds((n) => 3 + (n % 2)),
        { name: "Again" },
      );
      again.on("again", again).end("enough");
      return batchFlow(again, { prep: three }, { name: "Loops", maxSteps: 3 });
    },
    input,
    fails: "Expected flow `Loops` to end within 3 steps (maxSteps), got a 4th: `Again`",
  },
  ...inBothOrders(
    "a sub-flow with maxSteps, which counts in each branch",
    (branches, { node, flow }) => {
      const again = node(rounds(() => 3));
      again.on("again", again);
      return branches(flow(again, {}, { maxSteps: 3 }), { prep: three });
    },
    { input },
  ),
};
