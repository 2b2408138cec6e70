import { describe, expect, it } from "vitest";
import { serve } from "../../src/cloudflare.ts";
import { type BaseNode, BatchFlow, Flow, Node, ParallelBatchFlow, ParallelBatchNode } from "../../src/index.ts";
import type { mistakes } from "./mistakes.ts";
import { getRun, ran, rows, storedOutput } from "./support.ts";

describe("a run fails with an error that names", () => {
  it.each<[string, keyof typeof mistakes, string, object]>([
    [
      "the field in which prep kept shared for exec",
      "greedy",
      "Expected Greedy to keep shared to prep and post, got it as `this.shared`",
      { node: "Greedy", branch: "", index: null },
    ],
    ["the field in which shared is hidden deep", "deeply greedy", "got it as `this.context`", { node: "DeeplyGreedy" }],
    [
      "the field that cannot travel to exec",
      "connected",
      "got an instance of Socket at this.socket of Connected",
      { node: "Connected" },
    ],
    [
      "the field that exec wrote to",
      "remembering",
      "Expected exec of Remembering to leave the node's fields alone, got a write to `this.last`",
      { node: "Remembering", attempts: 1 },
    ],
    [
      "the path in the params of a branch",
      "handing branches",
      "got a function (send) at item 1 of HandingBranches.send",
      { node: "HandingBranches", branch: "" },
    ],
    [
      "the batch flow that was given no list of params",
      "no branches",
      "Expected prep of NoBranches to return items (an array, any iterable or async iterable), got ",
      { node: "NoBranches" },
    ],
    [
      "the branch and the field that cannot travel to exec",
      "connected branch",
      "got an instance of Socket at this.socket of ConnectedLast",
      { node: "ConnectedLast", branch: "1/0" },
    ],
    [
      "the branch of what shared cannot keep, though another branch's hook was stored with it",
      "sharing branch",
      "got an instance of Socket at shared.kept.socket",
      { node: "SharingOne", branch: "1" },
    ],
    ["the path of what shared cannot keep", "sharing", "got an instance of Socket at shared.kept.socket", {}],
    ["the path in an item", "handing", "got a function (send) at item 1 of Handing.send", { index: null }],
    [
      "the path in a result",
      "returning",
      "got an instance of Promise at the result of item 1 of Returning.later",
      { index: 1, attempts: 1 },
    ],
    ["the path in the output", "made up", "got a function (send) at output.send", {}],
    [
      "a post that returns no action",
      "actions",
      "Expected post of Actions to return an action (a string of at most 1000 characters) or nothing, got a number",
      {},
    ],
    [
      "a result that is too large",
      "huge",
      "Expected the result of item 1 of Huge to be at most 12.0 million characters",
      { index: 1, attempts: 1 },
    ],
    ["an item that is too large", "huge item", "Expected item 1 of HugeItem to be at most 12.0 million characters", {}],
    ["a shared that is too large", "huge shared", "Expected shared to be at most 12.0 million characters", {}],
  ])("%s", async (_, flow, message, place) => {
    const { status, error } = await ran(flow);
    expect(status).toBe("failed");
    expect(error?.message).toContain(message);
    expect(error).toMatchObject(place);
  });
});

/** What the platform takes in one row. A local runtime takes more, so it is measured here. */
const ROW_BYTES = 2_000_000;

async function largestRow(id: string): Promise<number> {
  const tables = await rows<{ name: string }>(
    id,
    "select name from sqlite_master where type = 'table' and name not like '\\_cf%' escape '\\'",
  );
  const sizes = await Promise.all(
    tables.map(async ({ name }) => {
      const columns = await rows<{ name: string }>(id, "select name from pragma_table_info(?)", name);
      const bytes = columns.map((column) => `coalesce(length(cast(${column.name} as blob)), 0)`).join(" + ");
      return rows<{ most: number | null }>(id, `select max(${bytes}) as most from ${name}`);
    }),
  );
  return Math.max(...sizes.flat().map(({ most }) => most ?? 0));
}

describe("a value of 3 MB is kept in rows that the platform takes", () => {
  it.each(["shared", "item", "result"])("in %s", async (kept) => {
    const { id, status } = await ran("large", { size: 1_000_000, kept });
    expect(status).toBe("completed");
    expect(await largestRow(id)).toBeLessThan(ROW_BYTES);
  });

  it.each([
    ["field", "Expected the fields that prep of Large set to be at most 0.6 million characters"],
    [
      "action",
      "Expected post of Large to return an action (a string of at most 1000 characters) or nothing, got 1000000",
    ],
    ["error", "€€€"],
  ])("or refused, or cut off: in %s", async (kept, message) => {
    const { id, status, error } = await ran("large", { size: 1_000_000, kept });
    expect(status).toBe("failed");
    expect(error?.message).toContain(message);
    expect(await largestRow(id)).toBeLessThan(ROW_BYTES);
  });

  it("and comes back whole", async () => {
    const { id } = await ran("large", { size: 1_500_000, kept: "shared" });
    expect(await storedOutput(id)).toEqual({ size: 1_500_000, kept: "😀".repeat(750_000) });
    expect((await getRun(id)).output).toEqual({ size: 1_500_000, kept: "😀".repeat(750_000) });
  });
});

describe("a Worker does not start with", () => {
  const serveOne = (make: () => Node | Flow) => serve({ flows: { mine: make as () => Flow } });

  it.each(["_exec", "_run", "getNextNode", "clone", "run"])("a node that has a %s of its own", (method) => {
    class Own extends ParallelBatchNode {}
    Object.defineProperty(Own.prototype, method, { value: () => undefined });
    expect(() => serveOne(() => new Flow(new Own()))).toThrow(
      `Expected node \`Own\` of flow \`mine\` to leave ${method} alone: a durable run calls prep, exec and post itself`,
    );
  });

  it.each<[string, new (start: BaseNode) => BaseNode]>([
    ["a flow", Flow],
    ["a batch flow", BatchFlow],
    ["a parallel batch flow", ParallelBatchFlow],
  ])("%s that walks, or runs, in a way of its own", (_, Base) => {
    for (const method of ["_orchestrate", "_run", "run"]) {
      class Own extends Base {}
      Object.defineProperty(Own.prototype, method, { value: () => "never" });
      expect(() => serveOne(() => new Flow(new Own(new Node())))).toThrow(
        `Expected node \`Own\` of flow \`mine\` to leave ${method} alone`,
      );
    }
  });

  it("two nodes of one name", () => {
    const first = new Node({ name: "twice" });
    first.next(new Node({ name: "twice" }));
    expect(() => serveOne(() => new Flow(first))).toThrow("got `twice` twice");
  });

  it("a factory that makes nothing", () => {
    const made = new Flow(new Node());
    expect(() => serveOne(() => made)).toThrow("Expected `mine` to make a new flow each time, got the same one twice");
  });
});
