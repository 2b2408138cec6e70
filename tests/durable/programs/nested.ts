import type { BaseNode, BranchEnd } from "../../../src/index.ts";
import type { Hooks, Spelling } from "../../core/spelling.ts";
import { inBothOrders, type Program, type Programs, pause, step } from "./program.ts";

interface Grid {
  log: string[];
  /** By the outer branch's number, and then by the inner one's. */
  cells: { [key: string]: unknown };
}

type Kind = "batchFlow" | "parallelFlow";

const KINDS: { [words: string]: [outer: Kind, inner: Kind] } = {
  "branches in order within branches in order": ["batchFlow", "batchFlow"],
  "branches at once within branches at once": ["parallelFlow", "parallelFlow"],
  "branches in order within branches at once": ["parallelFlow", "batchFlow"],
  "branches at once within branches in order": ["batchFlow", "parallelFlow"],
};

type Make = (start: BaseNode, hooks?: Hooks) => BaseNode;

/** One program with every kind of batch flow in every kind. */
function inEachOther(
  sentence: string,
  flow: (outer: Make, inner: Make, spell: Spelling) => BaseNode,
  more: Omit<Program, "flow">,
): Programs {
  const program = ([outer, inner]: [Kind, Kind]) => ({
    flow: (spell: Spelling) =>
      flow(
        (start, hooks) => spell[outer](start, hooks),
        (start, hooks) => spell[inner](start, hooks),
        spell,
      ),
    ...more,
  });
  return Object.fromEntries(Object.entries(KINDS).map(([words, kinds]) => [`${words}: ${sentence}`, program(kinds)]));
}

const rows = (count: number) => Array.from({ length: count }, (_, row) => ({ row }));
const columns = (count: number) => Array.from({ length: count }, (_, column) => ({ column }));

/** A cell for each pair of numbers, made at the start: so their order does not depend on who comes first. */
function cellsOf(rowCount: number, columnCount: number): { cells: Grid["cells"] } {
  const keys = rows(rowCount).flatMap(({ row }) => columns(columnCount).map(({ column }) => `${row}.${column}`));
  return { cells: Object.fromEntries(keys.map((key) => [key, null])) };
}

interface Self {
  _params: { row?: number; column?: number };
}

/** Fills the branch's cell with its params. */
const fill = {
  async exec(this: Self) {
    await pause(1 + ((this._params.row ?? 0) % 2));
    return { ...this._params };
  },
  post(this: Self, shared: Grid, _: unknown, params: unknown) {
    shared.cells[`${this._params.row}.${this._params.column}`] = params;
  },
};

/** Params of batches in batches: they accumulate, and the inner key wins. */
export const nested: Programs = {
  ...inEachOther(
    "params accumulate, and the inner key wins",
    (outer, inner, { node, flow }) => {
      const cells = inner(flow(node(fill)), { prep: () => columns(3).map((at) => ({ ...at, from: "inner" })) });
      const all = outer(flow(cells), { prep: () => rows(2).map((at) => ({ ...at, from: "outer", by: "outer" })) });
      return all.setParams({ from: "flow", by: "flow", of: "flow" });
    },
    { input: cellsOf(2, 3) },
  ),
  ...inEachOther(
    "each inner list is made from the outer params, and may be empty",
    (outer, inner, { node }) => {
      const cells = inner(node(fill), {
        prep() {
          return columns(this._params["row"] as number);
        },
        post(shared: Grid, list: unknown[], _: unknown, ends: BranchEnd[]) {
          shared.cells[`row ${this._params["row"]}`] = [list.length, ends.map(({ result }) => result)];
          return `row of ${list.length}`;
        },
      });
      return outer(cells, {
        prep: () => rows(3),
        post(shared: Grid, _: unknown, __: unknown, ends: BranchEnd[]) {
          shared.cells["ends"] = ends;
        },
      });
    },
    { input: { cells: { "row 0": 0, "row 1": 0, "row 2": 0, "1.0": 0, "2.0": 0, "2.1": 0 } }, copies: true },
  ),
  "three batch flows in each other, of both kinds": {
    flow: ({ node, flow, batchFlow, parallelFlow }) => {
      const leaf = node({
        post(shared: Grid) {
          const { a, b, c } = this._params as { [level: string]: number };
          shared.cells[`${a}${b}${c}`] = { ...this._params };
        },
      });
      const level = (key: string) => ({ prep: () => [0, 1].map((n) => ({ [key]: n, last: key })) });
      const third = parallelFlow(flow(leaf), level("c"));
      const second = batchFlow(third, level("b"));
      return parallelFlow(flow(second), level("a")).setParams({ root: true });
    },
    input: {
      cells: Object.fromEntries(["000", "001", "010", "011", "100", "101", "110", "111"].map((key) => [key, 0])),
    },
  },
};

/** What flows and batches do within branches. */
export const withinBranches: Programs = {
  ...inBothOrders(
    "a parallel batch in each",
    (branches, { parallel, flow }) => {
      const items = parallel({
        prep() {
          return columns(4).map(({ column }) => ({ row: this._params["row"], column }));
        },
        async exec({ row, column }: { row: number; column: number }) {
          await pause(4 - column);
          return 10 * row + column;
        },
        post(shared: Grid, _: unknown, results: number[]) {
          shared.cells[`${this._params["row"]}`] = results;
        },
      });
      return branches(flow(items), { prep: () => rows(4) });
    },
    { input: { cells: {} } },
  ),
  ...inBothOrders(
    "a parallel batch in each, wider than its concurrency, and one in order after it",
    (branches, { batch, parallel, flow }) => {
      const items = parallel(
        {
          prep: () => [1, 2, 3, 4, 5],
          exec: (item: number) => pause().then(() => item * 2),
          post(shared: Grid, _: unknown, results: number[]) {
            shared.cells[`${this._params["row"]}`] = results;
          },
        },
        { concurrency: 2 },
      );
      const sums = batch({
        prep(shared: Grid) {
          return shared.cells[`${this._params["row"]}`];
        },
        exec(item: number) {
          this["sum"] = Number(this["sum"] ?? 0) + item;
          return this["sum"];
        },
        post(shared: Grid, _: unknown, results: number[]) {
          shared.cells[`${this._params["row"]}`] = [results, this["sum"]];
        },
      });
      items.next(sums);
      return branches(flow(items), { prep: () => rows(3) });
    },
    { input: { cells: {} } },
  ),
  ...inBothOrders(
    "flows in flows in flows in each, whose last actions pick the way",
    (branches, { node, flow }) => {
      const turn = node({
        post() {
          return this._params["row"] === 0 ? "left" : "right";
        },
      });
      const note = (word: string) =>
        node({
          post(shared: Grid) {
            shared.cells[`${this._params["row"]}`] = word;
            return "again";
          },
        });
      const inner = flow(turn);
      inner.on("left", note("inner left"));
      const middle = flow(inner);
      middle.on("right", note("middle right")).on("again", note("middle again"));
      return branches(flow(middle), { prep: () => rows(2) });
    },
    { input: { cells: {} } },
  ),
  ...inBothOrders(
    "a flow with hooks of its own in each",
    (branches, { node, flow }) => {
      const inner = flow(node({ exec: () => "the result", post: () => "inner" }), {
        prep() {
          return { row: this._params["row"] };
        },
        async post(shared: Grid, { row }: { row: number }, action: string) {
          await pause();
          shared.cells[row] = `flow of ${row} ended by ${action}`;
          return `${action}, ${row}`;
        },
      });
      return branches(inner, {
        prep: () => rows(3),
        post(shared: Grid, _: unknown, __: unknown, ends: BranchEnd[]) {
          shared.cells["ends"] = ends;
        },
      });
    },
    { input: { cells: {} } },
  ),
  ...inBothOrders(
    "params of a nested flow give way to those of the branch",
    (branches, { node, flow }) => {
      const inner = flow(node(fill).setParams({ own: "node" })).setParams({ own: "flow" });
      return branches(inner, { prep: () => rows(2).map((at) => ({ ...at, column: 0 })) });
    },
    { input: cellsOf(2, 1) },
  ),
  ...inBothOrders(
    "branches in each, whose post picks the way",
    (branches, { node, flow }) => {
      const inner = branches(node({ exec: () => 1 }), {
        prep() {
          return columns(2 * (this._params["row"] as number));
        },
        post: (_: unknown, list: unknown[]) => (list.length > 0 ? "full" : "empty"),
      });
      const note = (word: string) =>
        node({
          post(shared: Grid) {
            shared.cells[`${this._params["row"]}`] = word;
          },
        });
      inner.on("full", note("had some")).on("empty", note("had none"));
      return branches(flow(inner), { prep: () => rows(3) });
    },
    { input: { cells: {} } },
  ),
  ...inBothOrders(
    "branches in each, in a loop",
    (branches, { node, flow }) => {
      const inner = branches(
        node({
          post(shared: Grid) {
            const counts = shared.cells[`${this._params["row"]}`] as number[];
            counts[this._params["column"] as number] = (counts[this._params["column"] as number] ?? 0) + 1;
          },
        }),
        {
          prep: () => columns(2),
          post(shared: Grid) {
            const counts = shared.cells[`${this._params["row"]}`] as number[];
            return (counts[0] as number) <= (this._params["row"] as number) ? "again" : "enough";
          },
        },
      );
      inner.on("again", inner).end("enough");
      return branches(flow(inner), { prep: () => rows(3) });
    },
    { input: { cells: { 0: [0, 0], 1: [0, 0], 2: [0, 0] } } },
  ),
  "one sub-flow in branches in order, in branches at once, and by itself": {
    flow: (spell) => {
      const inner = spell.flow(
        spell.node({
          post(shared: { count: number }) {
            shared.count++;
          },
        }),
      );
      const inOrder = spell.batchFlow(inner, { prep: () => rows(2) });
      const atOnce = spell.parallelFlow(inner, { prep: () => rows(3) });
      inOrder.next(atOnce).next(inner);
      return spell.flow(inOrder);
    },
    input: { count: 0 },
  },
  "a node that is a branch's last, and the last of the flow around it": {
    flow: (spell) => {
      const last = step(spell, "last", (shared) => (shared.log.length < 12 ? "again" : "over"));
      const inner = spell.batchFlow(last, { prep: () => rows(2), post: () => "done" });
      inner.on("done", last);
      last.on("again", step(spell, "more")).end("over");
      return spell.flow(inner);
    },
  },
};
