import {
  type BaseNode,
  type BatchFlowOptions,
  type BranchEnd,
  NonRetryableError,
  type Outcome,
} from "../../../src/index.ts";
import type { Hooks, Spelling } from "../../core/spelling.ts";
import { numbered, type Program, type Programs, pause, type Shared } from "./program.ts";

// Batches that collect failures. Branches write under their own number, or in their own turn: so nothing depends on which is first.

interface Self {
  currentRetry: number;
  _params: { n?: number; outer?: number };
}

interface Results extends Shared {
  results: { [n: string]: unknown };
}

const COLLECT = { onItemError: "collect" } as const;
const input = { results: {} };
const three = () => numbered(3);

/** An error by what is left of it: its class is lost on the way from an executor. A branch may end with outcomes of its own. */
function told<T>(outcome: Outcome<T>): unknown {
  if (outcome.ok) return isEnd(outcome.value) ? toldEnd(outcome.value) : outcome.value;
  const { name, message } = outcome.error;
  const { status = null } = outcome.error as { status?: number };
  return [outcome.error instanceof Error, name, message, status];
}

function keepItems(shared: Results, _: unknown, outcomes: Outcome[]) {
  shared["items"] = outcomes.map(told);
}

function isEnd(value: unknown): value is BranchEnd {
  return typeof value === "object" && value !== null && "action" in value;
}

function toldEnd({ action, result }: BranchEnd): unknown {
  return { action, result: Array.isArray(result) ? result.map(told) : result };
}

/** What became of branches: how each ended, or its error. Nothing is told beside that. Keys are in whatever order they came. */
function keepBranches(shared: Results, paramsList: unknown, outcomes: Outcome<BranchEnd>[], branches: unknown) {
  shared.results = Object.fromEntries(Object.entries(shared.results).sort(([a], [b]) => (a < b ? -1 : 1)));
  shared["branches"] = outcomes.map(told);
  shared["params"] = paramsList;
  shared["beside"] = branches === undefined;
  return "collected";
}

function keyOf({ _params: { n, outer } }: Self): string {
  return outer === undefined ? `${n}` : `${outer}/${n}`;
}

function keep(this: Self, shared: Results, _: unknown, result: unknown) {
  shared.results[keyOf(this)] = result;
}

/** Says where it was. */
function mark(what: string) {
  return async function (this: Self, shared: Results) {
    const key = `${what} ${keyOf(this)}`;
    shared.results[key] = "begun";
    await pause();
    shared.results[key] = "ended";
  };
}

/** Throws for odd numbers. */
function evenOnly(n: number): string {
  if (n % 2 === 1) throw new RangeError(`${n} is odd`);
  return `${n} is even`;
}

function odd(this: Self): void {
  evenOnly(this._params.n ?? 0);
}

/** A branch of two nodes, of which the first keeps what it did. */
function inTwo(first: BaseNode, second: BaseNode): BaseNode {
  first.next(second);
  return first;
}

type Branches = (start: BaseNode, hooks?: Hooks, options?: BatchFlowOptions) => BaseNode;

function inBothOrders(
  sentence: string,
  flow: (branches: Branches, spell: Spelling) => BaseNode,
  more: Omit<Program, "flow"> = { input },
): Programs {
  return {
    [`collecting branches in order: ${sentence}`]: { ...more, flow: (spell) => flow(spell.batchFlow, spell) },
    [`collecting branches at once: ${sentence}`]: { ...more, flow: (spell) => flow(spell.parallelFlow, spell) },
  };
}

type Items = Spelling["batch"] | Spelling["parallel"];

function ofItems(
  sentence: string,
  flow: (items: Items, spell: Spelling) => BaseNode,
  more: Omit<Program, "flow"> = { input },
): Programs {
  return {
    [`collecting items in order: ${sentence}`]: { ...more, flow: (spell) => flow(spell.batch, spell) },
    [`collecting items at once: ${sentence}`]: { ...more, flow: (spell) => flow(spell.parallel, spell) },
  };
}

/** Throws whatever the item says. */
const THROWN: { [what: string]: () => unknown } = {
  "a type error": () => new TypeError("no such type"),
  "an error with a status": () => new NonRetryableError("too long", { status: 400 }),
  "a string": () => "no",
  nothing: () => undefined,
  "an object with a message": () => ({ name: "Vendor", message: "busy", status: 503 }),
};

const items: Programs = {
  ...ofItems("the others go on, and post gets outcomes in their order", (items, { flow, node }) => {
    const first = items({ prep: () => [0, 1, 2, 3, 4], exec: evenOnly, post: keepItems }, COLLECT);
    first.next(
      node({
        post(shared: Shared) {
          shared.log.push("went on");
        },
      }),
    );
    return flow(first);
  }),
  ...ofItems("none has failed, all have, and there are none", (items, { flow }) => {
    const [none, all, empty] = [[0, 2], [1, 3, 5], []].map((list) =>
      items(
        {
          prep: () => list,
          exec: evenOnly,
          post(shared: Results, prepRes: unknown, outcomes: Outcome[]) {
            shared.results[String(prepRes)] = outcomes.map(told);
          },
        },
        COLLECT,
      ),
    ) as BaseNode[] as [BaseNode, BaseNode, BaseNode];
    none.next(all).next(empty);
    return flow(none);
  }),
  ...ofItems("whatever they throw is an Error with a name and a message", (items, { flow }) =>
    flow(
      items(
        {
          prep: () => Object.keys(THROWN),
          exec(what: string) {
            throw THROWN[what]?.();
          },
          post: keepItems,
        },
        COLLECT,
      ),
    ),
  ),
  ...ofItems("only what is out of attempts, and has no fallback, has failed", (items, { flow }) =>
    flow(
      items(
        {
          prep: () => [0, 1, 2, 7, 8, 9],
          exec(this: Self, n: number) {
            if (this.currentRetry < n) throw new Error(`busy ${n}.${this.currentRetry}`);
            return n;
          },
          execFallback(n: number, error: Error) {
            if (n === 8) return `${n} gave up: ${error.message}`;
            throw n === 9 ? new SyntaxError(`no fallback for ${n}`) : error;
          },
          post: keepItems,
        },
        { maxRetries: 3, wait: 0.002, tolerate: { count: 2 } },
      ),
    ),
  ),
  ...ofItems("those that are not to be tried again have failed at once", (items, { flow }) =>
    flow(
      items(
        {
          prep: () => [0, 1, 2, 3],
          exec(this: Self, n: number) {
            if (n === 2) throw new SyntaxError(`${n} at retry ${this.currentRetry}`);
            if (this.currentRetry < n) throw new Error(`${n} at retry ${this.currentRetry}`);
            return `${n} at retry ${this.currentRetry}`;
          },
          post: keepItems,
        },
        { ...COLLECT, maxRetries: 3, retryIf: (error: Error) => !(error instanceof SyntaxError) },
      ),
    ),
  ),
  ...ofItems("as many fail as are tolerated, by count and by share", (items, { flow }) => {
    const [first, second] = [{ count: 2 }, { percentage: 40 }].map((tolerate) =>
      items(
        {
          prep: () => [0, 1, 2, 3, 4],
          exec: evenOnly,
          post(shared: Results, _: unknown, outcomes: Outcome[]) {
            shared.results[JSON.stringify(tolerate)] = outcomes.map(told);
          },
        },
        { tolerate },
      ),
    ) as BaseNode[] as [BaseNode, BaseNode];
    first.next(second);
    return flow(first);
  }),
  ...ofItems(
    "one more fails than is tolerated, by count",
    (items, { flow }) =>
      flow(
        items(
          { prep: () => [0, 1, 2, 3, 4], exec: evenOnly, post: keepItems },
          { name: "Evens", tolerate: { count: 1 } },
        ),
      ),
    { fails: "Expected at most 1 of the 5 items of Evens to fail, got 2" },
  ),
  ...ofItems(
    "one more fails than is tolerated, by the narrower of two bounds",
    (items, { flow }) =>
      flow(
        items(
          { prep: () => [1, 0, 2, 3, 4, 6, 8, 10], exec: evenOnly, post: keepItems },
          { name: "Evens", tolerate: { count: 5, percentage: 24.9 } },
        ),
      ),
    { fails: "Expected at most 5 or 24.9 % of the 8 items of Evens to fail, got 2" },
  ),
};

const branches: Programs = {
  ...inBothOrders("one fails in prep, one in exec, and what they wrote before stays", (branches, { node }) => {
    const broken = node({
      async prep(this: Self, shared: Results) {
        await mark("second").call(this, shared);
        if (this._params.n === 0) throw new RangeError("prep is broken");
      },
      exec(this: Self) {
        if (this._params.n === 2) throw new TypeError("exec is broken");
        return `result of ${this._params.n}`;
      },
      post: keep,
    });
    return branches(inTwo(node({ prep: mark("first") }), broken), { prep: three, post: keepBranches }, COLLECT);
  }),
  ...inBothOrders("one fails in a post that has written, late", (branches, { node }) => {
    const late = node({
      exec(this: Self) {
        return `result of ${this._params.n}`;
      },
      async post(this: Self, shared: Results, _: unknown, result: string) {
        shared.results[keyOf(this)] = { result };
        await pause();
        shared.log.push("a post");
        odd.call(this);
        return "kept";
      },
    });
    return branches(late, { prep: three, post: keepBranches }, COLLECT);
  }),
  ...inBothOrders("all fail, and the flow goes on by its post's action", (branches, { node, flow }) => {
    const all = branches(
      node({
        prep(this: Self) {
          throw new Error(`${this._params.n} is broken`);
        },
      }),
      { prep: three, post: keepBranches },
      COLLECT,
    );
    const last = node({
      post(shared: Shared) {
        shared.log.push("went on");
      },
    });
    all.on("collected", last);
    return flow(all);
  }),
  ...inBothOrders("there are none, and post gets no outcome", (branches, { node }) =>
    branches(node(), { prep: () => [], post: keepBranches }, COLLECT),
  ),
  ...inBothOrders("a flow in one fails, so its own post is never run", (branches, { node, flow }) => {
    const inner = flow(inTwo(node({ prep: mark("inner") }), node({ prep: odd })), { post: mark("post") });
    return branches(inner, { prep: three, post: keepBranches }, COLLECT);
  }),
  ...inBothOrders("a batch in one has more failures than it tolerates", (branches, { parallel }) => {
    const inner = parallel(
      {
        prep(this: Self) {
          return [0, 2, ...Array.from({ length: this._params.n ?? 0 }, (_, at) => 2 * at + 1)];
        },
        exec: evenOnly,
        post(this: Self, shared: Results, _: unknown, outcomes: Outcome[]) {
          shared.results[keyOf(this)] = outcomes.map(told);
        },
      },
      { name: "Inner", tolerate: { count: 1 } },
    );
    return branches(inner, { prep: three, post: keepBranches }, COLLECT);
  }),
  ...inBothOrders("one makes too many steps", (branches, { node }) => {
    const again = node(
      {
        post(this: Self, { results }: Results) {
          const count = Number(results[keyOf(this)] ?? 0) + 1;
          results[keyOf(this)] = count;
          return count > 2 * (this._params.n ?? 0) ? "enough" : "again";
        },
      },
      { name: "Again" },
    );
    again.on("again", again).end("enough");
    return branches(again, { prep: three, post: keepBranches }, { ...COLLECT, name: "Loops", maxSteps: 4 });
  }),
  ...inBothOrders("as many fail as are tolerated", (branches, { node }) =>
    branches(node({ exec: odd }), { prep: () => numbered(4), post: keepBranches }, { tolerate: { percentage: 50 } }),
  ),
  ...inBothOrders(
    "one more fails than is tolerated",
    (branches, { node }) =>
      branches(
        node({ exec: odd }),
        { prep: () => numbered(5), post: keepBranches },
        { name: "Evens", tolerate: { count: 1 } },
      ),
    { fails: "Expected at most 1 of the 5 branches of Evens to fail, got 2" },
  ),
  ...inBothOrders(
    "no failure is tolerated",
    (branches, { node }) =>
      branches(
        node({ prep: odd }),
        { prep: three, post: keepBranches },
        { name: "Evens", tolerate: { percentage: 0 } },
      ),
    { fails: "Expected at most 0 % of the 3 branches of Evens to fail, got 1" },
  ),
};

const pairs = () => [{ outer: 0 }, { outer: 1 }, { outer: 2 }];

const within: Programs = {
  ...inBothOrders("collect within fail within collect", (branches, { node }) => {
    const innermost = branches(
      node({ exec: odd, post: keep }),
      {
        prep: three,
        post(this: Self, shared: Results, _: unknown, outcomes: Outcome[]) {
          shared.results[`innermost ${this._params.outer}`] = outcomes.map(told);
          if (this._params.outer === 1) throw new Error("no sum");
        },
      },
      COLLECT,
    );
    const middle = branches(innermost, { prep: () => [{}], post: mark("middle") });
    return branches(middle, { prep: pairs, post: keepBranches }, COLLECT);
  }),
  ...inBothOrders("fail within collect within collect", (branches, { node }) => {
    const innermost = branches(node({ exec: odd }), {
      prep(this: Self) {
        return [{ n: 0 }, { n: this._params.outer }];
      },
    });
    const middle = branches(
      innermost,
      {
        prep: () => [{}],
        post(this: Self, shared: Results, _: unknown, outcomes: Outcome[]) {
          shared.results[`middle ${this._params.outer}`] = outcomes.map(told);
        },
      },
      COLLECT,
    );
    return branches(middle, { prep: pairs, post: keepBranches }, COLLECT);
  }),
  ...inBothOrders("more failures than the inner one tolerates are one of the outer one", (branches, { node }) => {
    const inner = branches(
      node({ prep: odd }),
      {
        prep(this: Self) {
          return numbered(2 * (this._params.outer ?? 0));
        },
        post: mark("inner"),
      },
      { name: "Inner", tolerate: { count: 1 } },
    );
    return branches(inner, { prep: pairs, post: keepBranches }, { tolerate: { count: 1 } });
  }),
  ...inBothOrders("the inner one's own prep fails, or its own post", (branches, { node }) => {
    const inner = branches(
      node({ post: keep }),
      {
        prep(this: Self) {
          if (this._params.outer === 0) throw new Error("no list");
          return three();
        },
        async post(this: Self, shared: Results) {
          await mark("inner").call(this, shared);
          if (this._params.outer === 2) throw new Error("no sum");
        },
      },
      COLLECT,
    );
    return branches(inner, { prep: pairs, post: keepBranches }, COLLECT);
  }),
};

/** Lets others go on until something is so. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause();
}

const stopped: Programs = {
  "collecting branches at once: a hook under way in a branch that its sibling has stopped writes on to its end": {
    input,
    flow: ({ node, parallelFlow, flow }) => {
      const leaf = node({
        async post(this: Self, shared: Results) {
          if (this._params.n === 0) {
            await until(() => shared.results[1] === "half");
            throw new Error("no");
          }
          shared.results[1] = "half";
          await until(() => shared["branches"] !== undefined);
          shared.results[1] = "whole";
        },
      });
      const outer = parallelFlow(
        parallelFlow(leaf, { prep: () => numbered(2) }),
        {
          prep: () => [{}],
          post(shared: Results, _: unknown, outcomes: Outcome[]) {
            shared["branches"] = outcomes.map(told);
          },
        },
        COLLECT,
      );
      outer.next(node({ prep: ({ results }: Results) => until(() => results[1] === "whole") }));
      return flow(outer);
    },
  },
};

export const collecting: Programs = { ...items, ...branches, ...within, ...stopped };
