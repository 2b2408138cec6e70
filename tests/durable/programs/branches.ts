import type { BranchEnd } from "../../../src/index.ts";
import { inBothOrders, type Numbered, numbered, type Programs, pause, step } from "./program.ts";

interface Seen {
  log: string[];
  seen: { [n: number]: unknown };
  told?: unknown;
}

/** Keeps what post of a batch flow is told. */
function tell(shared: Seen, paramsList: unknown, none: unknown, branches: BranchEnd[]) {
  shared.told = { paramsList, none, branches };
}

/** Notes the params of each hook of each branch. */
const paramsReader = {
  prep(this: { _params: object }) {
    return JSON.stringify(this._params);
  },
  exec(this: { _params: object }, inPrep: string) {
    return `${inPrep} ${JSON.stringify(this._params)}`;
  },
  post(this: { _params: object }, shared: Seen, _: string, inExec: string) {
    shared.seen[(this._params as Numbered).n] = `${inExec} ${JSON.stringify(this._params)}`;
  },
};

/** Branches over one list of params. */
function lists(sentence: string, prep: () => unknown): Programs {
  return inBothOrders(
    sentence,
    (branches, { node, flow }) => branches(flow(node(paramsReader)), { prep, post: tell }),
    { input: { seen: {} } },
  );
}

class RemotePages {
  async *[Symbol.asyncIterator]() {
    yield* numbered(2);
    await pause();
    yield { n: 2 };
  }
}

/** Lists of params of every kind. */
export const branchLists: Programs = {
  ...lists("an array", () => numbered(3)),
  ...lists("one", () => numbered(1)),
  ...lists("none of an empty array", () => []),
  ...lists("none of undefined", () => undefined),
  ...lists("none of null", () => null),
  ...lists("an array that comes late", async () => {
    await pause();
    return numbered(3);
  }),
  ...lists("a generator", function* () {
    yield* numbered(3);
  }),
  ...lists("a Set", () => new Set(numbered(3))),
  ...lists("the values of a Map", () => new Map(numbered(3).map((params) => [params.n, params])).values()),
  ...lists("an async generator", async function* () {
    yield { n: 0 };
    await pause();
    yield { n: 1 };
  }),
  ...lists("an async iterable of one's own", () => new RemotePages()),
  ...inBothOrders(
    "params of every kind",
    (branches, { node, flow }) => {
      const read = node({
        exec() {
          const { since, tags } = this._params as { since?: Date; tags?: Set<string> };
          return [Object.keys(this._params), since instanceof Date && Number(since), tags?.has("a")];
        },
        post(shared: Seen, _: unknown, params: unknown) {
          shared.seen[this._params["n"] as number] = params;
        },
      });
      const list = () => [
        { n: 0, since: new Date(5), tags: new Set(["a"]), big: 2n ** 70n },
        { n: 1, nothing: undefined, map: new Map([["k", { deep: true }]]) },
      ];
      return branches(flow(read), { prep: list, post: tell });
    },
    { input: { seen: {} }, copies: true },
  ),
  ...lists("params that are empty but for one", () => [{}, { n: 1 }]),
};

/** What a branch sees of its params, and post of its branches. */
export const branchParams: Programs = {
  ...inBothOrders(
    "params merge over the flow's own, and leave both as they were",
    (branches, { node, flow }) =>
      branches(flow(node(paramsReader).setParams({ own: true })), {
        prep() {
          return [{ n: 0, key: "item" }, { n: 1 }];
        },
        post(shared: Seen, paramsList: unknown) {
          shared.told = { paramsList, own: this._params };
        },
      }).setParams({ key: "flow", lang: "fr" }),
    { input: { seen: {} } },
  ),
  ...inBothOrders(
    "params of the flow around them take the place of their own",
    (branches, { node, flow }) => {
      const all = branches(flow(node(paramsReader)), { prep: () => numbered(2) }).setParams({ own: true });
      return flow(all).setParams({ around: true, n: 9 });
    },
    { input: { seen: {} } },
  ),
  ...inBothOrders(
    "a change of the params shows in no sibling and not in prep's list",
    (branches, { node, flow }) => {
      const spoil = node({
        prep(shared: Seen) {
          shared.seen[this._params["n"] as number] = { ...this._params };
          this._params["spoiled"] = true;
        },
      });
      return branches(flow(spoil), { prep: () => numbered(3), post: tell });
    },
    { input: { seen: {} } },
  ),
  ...inBothOrders(
    "a change of the params is there in the branch's next node",
    (branches, { node, flow }) => {
      const spoil = node({
        post() {
          this._params["mine"] = [this._params["n"]];
        },
      });
      spoil.next(node()).next(node(paramsReader));
      return branches(flow(spoil), { prep: () => numbered(3) });
    },
    { input: { seen: {} } },
  ),
  ...inBothOrders(
    "params that hold parts of shared, which the branches change through them",
    (branches, { node, flow }) => {
      const birthday = node({
        prep() {
          return (this._params["user"] as { age: number }).age;
        },
        exec: (age: number) => age + 1,
        post(_: unknown, __: number, age: number) {
          (this._params["user"] as { age: number }).age = age;
        },
      });
      return branches(flow(birthday), {
        prep: (shared: { users: object[] }) => shared.users.map((user) => ({ user })),
        post(shared: { users: object[]; isSame: boolean[] }, paramsList: { user: object }[]) {
          shared.isSame = paramsList.map(({ user }, index) => user === shared.users[index]);
        },
      });
    },
    { input: { users: [{ age: 3 }, { age: 40 }] } },
  ),
  ...inBothOrders(
    "a list of shared that branches and post add to",
    (branches, { node, flow }) => {
      const add = node({
        post(shared: { list: Numbered[] }) {
          if (this._params["n"] === 0) shared.list.push({ n: 7 });
        },
      });
      return branches(flow(add), {
        prep: (shared: { list: Numbered[] }) => shared.list,
        post(
          shared: { list: Numbered[]; isSame: boolean; ends: number },
          list: Numbered[],
          _: unknown,
          ends: unknown[],
        ) {
          list.push({ n: 8 });
          shared.isSame = list === shared.list;
          shared.ends = ends.length;
        },
      });
    },
    { input: { list: numbered(3) } },
  ),
  ...inBothOrders(
    "post is told each branch's last action and result",
    (branches, { node, flow }) => {
      const first = node({ exec: () => "not the last", post: () => "default" });
      const double = node({
        prep() {
          return this._params["n"];
        },
        async exec(n: number) {
          await pause(4 - n);
          return { doubled: 2 * n };
        },
        post: (_: unknown, n: number) => (n > 1 ? "big" : n === 1 ? "" : undefined),
      });
      first.next(double);
      return branches(flow(first), { prep: () => numbered(4), post: tell });
    },
    { input: { seen: {} } },
  ),
  ...inBothOrders(
    "post is told how branches end in nodes, batches, nested flows and batch flows",
    (branches, spell) => {
      const { node, batch, parallel, flow, batchFlow, parallelFlow } = spell;
      const choose = node({
        post() {
          return this._params["to"];
        },
      });
      const items = { prep: () => [1, 2], exec: (item: number) => item * 2, post: () => "of a batch" };
      const last = () => node({ exec: () => "the last", post: () => "of the last" });
      const each = { prep: () => numbered(2), post: () => "of the branches" };
      choose
        .on("node", last())
        .on("batch", batch(items))
        .on("parallel", parallel(items))
        .on("flow", flow(last()))
        .on(
          "renaming flow",
          flow(flow(last()), { post: (_: unknown, __: unknown, action: string) => `${action}, renamed` }),
        )
        .on("batch flow", batchFlow(last(), each))
        .on("parallel flow", parallelFlow(last(), each))
        .on("silent batch flow", batchFlow(last(), { prep: () => numbered(1) }));
      const ways = [...choose["_successors"].keys(), "nobody's"];
      return branches(flow(choose), { prep: () => ways.map((to) => ({ to })), post: tell });
    },
    { input: { seen: {} } },
  ),
  ...inBothOrders("a node that is the whole branch", (branches, spell) =>
    branches(step(spell, "only", "done"), { prep: () => [{}], post: tell }),
  ),
};
