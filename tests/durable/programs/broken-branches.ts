import type { ExecContext } from "../../../src/index.ts";
import { inBothOrders, numbered, type Programs, pause } from "./program.ts";

// Branches in which something fails. Where two fail at once, they do so with the same words: which is first is chance.

interface Self {
  currentRetry: number;
  _params: { n?: number };
}

interface Results {
  results: { [n: number]: unknown };
}

const three = () => numbered(3);
const input = { results: {} };

function keep(this: Self, shared: Results, _: unknown, result: unknown) {
  shared.results[this._params.n as number] = result;
}

/** Fails as often as the branch's number says. */
function flaky(this: Self, _: unknown, { attempt }: ExecContext) {
  const { n = 0 } = this._params;
  if (this.currentRetry < n) throw new Error(`busy ${n}.${this.currentRetry}`);
  return `${n}: retry ${this.currentRetry}, attempt ${attempt}`;
}

async function flakyLate(this: Self, item: unknown, context: ExecContext) {
  await pause();
  return flaky.call(this, item, context);
}

function fallback(this: Self, _: unknown, error: Error) {
  return `${this._params.n} gave up at retry ${this.currentRetry}: ${error.message}`;
}

/** Throws in the branch in the middle. */
function breaksInOne(this: Self) {
  if (this._params.n === 1) throw new RangeError("one is broken");
}

export const brokenBranches: Programs = {
  ...inBothOrders(
    "each has attempts of its own",
    (branches, { node, flow }) => branches(flow(node({ exec: flaky, post: keep }, 4)), { prep: three }),
    { input },
  ),
  ...inBothOrders(
    "each has attempts of its own, with waits between them",
    (branches, { node, flow }) => branches(flow(node({ exec: flakyLate, post: keep }, 4, 0.005)), { prep: three }),
    { input },
  ),
  ...inBothOrders(
    "a fallback in the one that ran out of attempts",
    (branches, { node, flow }) =>
      branches(flow(node({ exec: flaky, execFallback: fallback, post: keep }, 2)), { prep: three }),
    { input },
  ),
  ...inBothOrders(
    "a batch in each, whose items have attempts of their own",
    (branches, { parallel, flow }) => {
      const items = parallel(
        {
          prep: () => [0, 1, 2],
          async exec(item: number) {
            await pause();
            if (this.currentRetry < (item + Number(this._params["n"])) % 3) throw new Error("busy");
            return `${item} at retry ${this.currentRetry}`;
          },
          post: keep,
        },
        3,
        0.002,
      );
      return branches(flow(items), { prep: three });
    },
    { input },
  ),
  ...inBothOrders(
    "one fails in prep",
    (branches, { node, flow }) => branches(flow(node({ prep: breaksInOne, post: keep })), { prep: three }),
    { input, fails: "one is broken" },
  ),
  ...inBothOrders(
    "one fails in exec, out of attempts",
    (branches, { node, flow }) => branches(flow(node({ exec: breaksInOne, post: keep }, 3)), { prep: three }),
    { input, fails: "one is broken" },
  ),
  ...inBothOrders(
    "one fails in post, late",
    (branches, { node, flow }) => {
      const late = node({
        async post() {
          await pause();
          breaksInOne.call(this);
        },
      });
      return branches(flow(late), { prep: three });
    },
    { fails: "one is broken" },
  ),
  ...inBothOrders(
    "one fails in a batch, which stops there",
    (branches, { batch, flow }) =>
      branches(flow(batch({ prep: () => [1, 2, 3], exec: breaksInOne, post: keep })), { prep: three }),
    { input, fails: "one is broken" },
  ),
  ...inBothOrders(
    "one fails in a fallback that throws",
    (branches, { node, flow }) =>
      branches(
        flow(node({ exec: breaksInOne, execFallback: () => breaksInOne.call({ currentRetry: 0, _params: { n: 1 } }) })),
        {
          prep: three,
        },
      ),
    { fails: "one is broken" },
  ),
  ...inBothOrders(
    "all fail, with the same words",
    (branches, { node, flow }) => {
      const broken = node({
        exec() {
          throw new TypeError("all are broken");
        },
      });
      return branches(flow(broken), { prep: three });
    },
    { fails: "all are broken" },
  ),
  ...inBothOrders(
    "their own prep fails, late",
    (branches, { node }) =>
      branches(node(), {
        async prep() {
          await pause();
          throw new Error("no list");
        },
      }),
    { fails: "no list" },
  ),
  ...inBothOrders(
    "their own post fails",
    (branches, { node }) =>
      branches(node(), {
        prep: three,
        post() {
          throw new Error("no sum");
        },
      }),
    { fails: "no sum" },
  ),
  ...inBothOrders("a list that is none", (branches, { node }) => branches(node(), { prep: () => ({ n: 1 }) }), {
    fails: "Expected prep of Written to return items (an array, any iterable or async iterable), got an object",
  }),
  ...inBothOrders(
    "an async list that breaks",
    (branches, { node }) =>
      branches(node(), {
        async *prep() {
          yield { n: 1 };
          throw new Error("the second page is gone");
        },
      }),
    { fails: "the second page is gone" },
  ),
  ...inBothOrders(
    "one of the inner ones fails",
    (branches, { node, flow }) => {
      const inner = branches(flow(node({ post: breaksInOne })), { prep: three });
      return branches(inner, { prep: () => [{ outer: 1 }, { outer: 2 }] });
    },
    { fails: "one is broken" },
  ),
};
