import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FlowEntries, serve } from "../../src/cloudflare.ts";
import { Flow, Node } from "../../src/index.ts";
import {
  add,
  change,
  changeBack,
  type Deployed,
  deployEntries,
  type Edit,
  lead,
  NEW,
  OLD,
  remove,
  rename,
  retype,
} from "./deploying.ts";
import { newStage, type Stage } from "./stage.ts";
import { call, crash, executorOf, finished, getRun, inRun, post, type Run, rows, runOf, start } from "./support.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});
afterEach(() => {
  changeBack();
  deployEntries(OLD);
});

const PLACES = ["A", "B", "C", "Round", "D", "E", ...["a", "b", "c"].map((item) => `C/${item}`)];
const BRANCHED = ["B", "C"].flatMap((name) => [0, 1, 2].map((n) => `${name} ${n}`));
const ALL = [...PLACES, ...BRANCHED, "D2", "F", "A2", "B2", "C2"];

/** A run that is held in the exec of these, and has done what comes before. */
async function heldAt(flow: Deployed, places: string[], input: object = {}): Promise<string> {
  stage.open(...ALL.filter((place) => !places.includes(place)));
  const { id } = await start(`deployed, ${flow}`, { log: [], ...input });
  for (const place of places) await stage.heard(place);
  return id;
}

/** The run's object is loaded anew, with the flow as it now is. */
async function reload(id: string): Promise<Run> {
  await crash(runOf(id));
  return getRun(id);
}

/** Everything that is stored of a run, but for how it stands and how often hooks were lost. */
function stored(id: string): Promise<object> {
  return inRun(id, ({ sql }) =>
    Object.fromEntries(
      ["step", "branch", "page", "item", "journal", "long_text"].map((table) => [
        table,
        sql.exec(`select * from ${table}`).toArray(),
      ]),
    ),
  );
}

async function resumeProblem(id: string): Promise<{ status: number; detail: string }> {
  const response = await post(`/runs/${id}/resume`);
  const { detail } = await response.json<{ detail: string }>();
  return { status: response.status, detail };
}

type Case = [flow: Deployed, what: string, held: string[], edit: Edit, told: string[]];

const STEPS = (...names: string[]) => names.map((name) => `${name} by Step`);
const DONE: { [flow in Deployed]: string[] } = {
  chain: STEPS("A", "B", "C", "D", "E"),
  loop: STEPS("A", "B").concat("C/a C/b C/c by Many", STEPS("Round", "B"), "C/a C/b C/c by Many", STEPS("Round", "D")),
  nested: STEPS("A", "B", "C", "D"),
  "nested loop": STEPS("B", "C", "Round", "B", "C", "Round", "D"),
  branches: STEPS("A", "B 0", "B 1", "B 2", "C 0", "C 1", "C 2", "D").concat("Each"),
  "branches at once": STEPS("A", "B 0", "B 1", "B 2", "C 0", "C 1", "C 2", "D").concat("Each"),
  "collecting branches": STEPS("A", "B 0", "B 1", "B 2", "C 0", "C 1", "C 2", "D").concat("Each"),
};

/** Branches end in any order. */
function logOf(flow: Deployed, run: Run): string[] {
  const { log } = run.output as { log: string[] };
  return flow.includes("branches") ? log.toSorted() : log;
}

function doneOf(flow: Deployed): string[] {
  return flow.includes("branches") ? DONE[flow].toSorted() : DONE[flow];
}

const ROUNDS = { rounds: 2 };

/** Changes of what a run still has to do, and what the run says of them. */
const ahead: Case[] = [
  [
    "chain",
    "a renamed node",
    ["C"],
    rename("D", "D2"),
    ["node `D` was removed", "node `D2` was added", "edge `C -default->` was (D) and is now (D2)"],
  ],
  [
    "chain",
    "a removed node",
    ["C"],
    remove("D"),
    ["node `D` was removed", "edge `C -default->` was (D) and is now (E)", "edge `D -default->` was removed"],
  ],
  ["chain", "the last node removed", ["C"], remove("E"), ["node `E` was removed", "edge `C -skip->` was removed"]],
  [
    "chain",
    "an added node",
    ["C"],
    add("F", "Step", "E", "more"),
    ["node `F` was added", "edge `E -more->` was added"],
  ],
  ["chain", "a changed edge", ["C"], lead("C", "skip", "D"), ["edge `C -skip->` was (E) and is now (D)"]],
  ["chain", "an edge back", ["C"], lead("E", "again", "A"), ["edge `E -again->` was added"]],
  ["chain", "a changed class", ["C"], retype("D", "Other"), ["node `D` was (Step, node) and is now (Other, node)"]],
  [
    "chain",
    "a node that is a batch now",
    ["C"],
    retype("E", "Many"),
    ["node `E` was (Step, node) and is now (Many, parallel-batch)"],
  ],
  [
    "chain",
    "the class of the node that it is at",
    ["C"],
    retype("C", "Other"),
    ["node `C` was (Step, node) and is now (Other, node)"],
  ],
  ["chain", "the name of the node that it is at", ["C"], rename("C", "C2"), ["node `C` was removed"]],
  ["chain", "the flow's own name", ["C"], rename("Root", "Top"), ["the flow was `Root` and is now `Top`"]],
  ["chain", "a flow that cannot be made", ["C"], retype("A", "Wanted"), ["A is wanted"]],
  ["loop", "a renamed node of the next round", ["C/a", "C/b"], rename("B", "B2"), ["node `B` was removed"]],
  [
    "loop",
    "the class of a node of the next round",
    ["Round"],
    retype("C", "Step"),
    ["node `C` was (Many, parallel-batch) and is now (Step, node)"],
  ],
  ["loop", "the edge back", ["B"], lead("Round", "again", "C"), ["edge `Round -again->` was (B) and is now (C)"]],
  [
    "loop",
    "a node after the loop",
    ["B"],
    retype("D", "Other"),
    ["node `D` was (Step, node) and is now (Other, node)"],
  ],
  [
    "nested",
    "where a flow that it comes to starts",
    ["A"],
    remove("B"),
    ["node `Inner` was (Flow, flow, starts at B) and is now (Flow, flow, starts at C)"],
  ],
  ["nested", "a node within the flow that it is in", ["B"], retype("C", "Other"), ["node `C` was (Step, node)"]],
  ["nested", "the name of the flow that it is in", ["C"], rename("Inner", "Within"), ["node `Inner` was removed"]],
  [
    "nested",
    "the class of the flow that it is in",
    ["C"],
    retype("Inner", { flow: "Each", start: "B" }),
    ["node `Inner` was (Flow, flow) and is now (Each, parallel-batch-flow)"],
  ],
  ["nested", "what follows the flow that it is in", ["C"], rename("D", "D2"), ["edge `Inner -default->` was (D)"]],
  [
    "nested loop",
    "where the flow starts in the next round",
    ["C"],
    remove("B"),
    ["node `B` was removed", "node `Inner` was (Flow, flow, starts at B) and is now (Flow, flow, starts at C)"],
  ],
  [
    "branches",
    "the first node of a branch that has not begun",
    ["C 0", "C 1"],
    retype("B", "Other"),
    ["node `B` was (Step, node) and is now (Other, node)"],
  ],
  ["branches", "where a branch starts that has not begun", ["C 0", "C 1"], remove("B"), ["starts at B"]],
  [
    "branches at once",
    "the node that one branch is at",
    ["B 0", "C 1", "C 2"],
    rename("B", "B2"),
    ["node `B` was removed"],
  ],
  [
    "branches at once",
    "what branches come to",
    ["B 0", "C 1", "C 2"],
    retype("C", "Many"),
    ["node `C` was (Step, node)"],
  ],
  ["branches at once", "what follows the branches", ["C 0", "C 1", "C 2"], remove("D"), ["node `D` was removed"]],
];

/** Changes of what lies behind a run. */
const behind: Case[] = [
  ["chain", "a renamed node", ["C"], rename("A", "A2"), []],
  ["chain", "a removed node", ["C"], remove("B"), []],
  ["chain", "a removed first node", ["C"], remove("A"), []],
  ["chain", "a changed edge", ["C"], lead("A", "default", "C"), []],
  ["chain", "an added edge to what is ahead", ["C"], lead("B", "skip", "E"), []],
  ["chain", "a changed class", ["C"], retype("B", "Other"), []],
  ["chain", "a node that is a batch now", ["C"], retype("A", "Many"), []],
  ["chain", "a flow in place of a node", ["C"], retype("A", { flow: "Flow", start: "F" }), []],
  ["loop", "a renamed node before the loop", ["C/a", "C/b"], rename("A", "A2"), []],
  ["loop", "a class within the loop, after it", ["D"], retype("C", "Step"), []],
  ["loop", "a removed node of the loop, after it", ["D"], remove("B"), []],
  ["loop", "the edge back, after the loop", ["D"], lead("Round", "again", "A"), []],
  ["nested", "where the flow that it is in started", ["C"], remove("B"), []],
  ["nested", "a class within the flow that it is in", ["C"], retype("B", "Many"), []],
  ["nested", "a whole flow", ["D"], remove("Inner"), []],
  ["nested", "a flow that has become a node", ["D"], retype("Inner", "Step"), []],
  ["nested loop", "where the flow started, after the loop", ["D"], remove("B"), []],
  ["branches", "the first node of branches, of which the last one has left it", ["C 2"], retype("B", "Other"), []],
  ["branches at once", "the first node of branches that have all left it", ["C 0", "C 1", "C 2"], remove("B"), []],
  ["branches at once", "its name", ["C 0", "C 1", "C 2"], rename("B", "B2"), []],
  ["branches at once", "the node before the branches", ["B 0", "C 1", "C 2"], retype("A", "Many"), []],
];

/** Some edits need a node that the first spec lacks. */
const withF =
  (edit: Edit): Edit =>
  (spec) => {
    const edited = edit(spec);
    return "F" in edited.parts ? edited : { ...edited, parts: { ...edited.parts, F: "Step" } };
  };

describe("a run of which what it still has to do has changed", () => {
  it.each(ahead)("is paused, and says so: %s, %s", async (flow, _, held, edit, told) => {
    const id = await heldAt(flow, held, ROUNDS);
    const before = await getRun(id);
    const rowsBefore = await stored(id);
    change(flow, withF(edit));
    const run = await reload(id);
    const { error } = run;
    expect(run).toMatchObject({ status: "paused", error: { name: "GraphChanged" } });
    expect(error?.message).toContain(`Flow \`deployed, ${flow}\` has changed since the run began`);
    for (const words of told) expect(error?.message).toContain(words);
    // Of what lies behind nothing is said.
    if (held.includes("C")) expect(error?.message).not.toMatch(/node `[AB]` was (?!removed)|`A -/);
    const { pending, running, ...settled } = run.items;
    expect({ ...settled, open: pending + running }).toEqual(openOf(before));
    expect(await stored(id)).toEqual(rowsBefore);
    expect(await resumeProblem(id)).toEqual({ status: 409, detail: error?.message });
    expect((await post(`/runs/${id}/retry`)).status).toBe(409);
    expect((await call(`/runs/${id}`, { method: "DELETE" })).status).toBe(409);
    // By itself, when the code is as it was: nobody asks.
    changeBack();
    await crash(runOf(id));
    stage.open(...ALL);
    await runDurableObjectAlarm(runOf(id));
    const last = await finished(id);
    expect(last).toMatchObject({ status: "completed", error: null, warnings: [] });
    expect(logOf(flow, last)).toEqual(doneOf(flow));
  });

  it.each<Case>([ahead[0] as Case, ahead[12] as Case, ahead[22] as Case])(
    "can be canceled: %s, %s",
    async (flow, _, held, edit) => {
      const id = await heldAt(flow, held, ROUNDS);
      change(flow, edit);
      expect(await reload(id)).toMatchObject({ status: "paused" });
      const response = await post(`/runs/${id}/cancel`);
      expect(response.status).toBe(202);
      expect(await response.json()).toMatchObject({ status: "canceled", error: null, completionReason: "canceled" });
      changeBack();
      stage.open(...ALL);
      expect(await reload(id)).toMatchObject({ status: "canceled", items: { pending: 0, running: 0 } });
      expect(stage.said.filter((said) => said.startsWith("D"))).toEqual([]);
    },
  );

  it("is paused again at each load, and its message tells of the latest change", async () => {
    const id = await heldAt("chain", ["C"]);
    change("chain", retype("D", "Other"));
    const first = await reload(id);
    expect(await reload(id)).toEqual(first);
    change("chain", remove("E"));
    const { error } = await reload(id);
    expect(error?.message).toContain("node `E` was removed");
    expect(error?.message).not.toContain("node `D`");
  });

  it("that somebody had paused stays paused when its flow is as it was, until it is resumed", async () => {
    const id = await heldAt("chain", ["C"]);
    expect((await post(`/runs/${id}/pause`)).status).toBe(202);
    change("chain", remove("D"));
    expect(await reload(id)).toMatchObject({ status: "paused", error: { name: "GraphChanged" } });
    expect((await resumeProblem(id)).status).toBe(409);
    changeBack();
    expect(await reload(id)).toMatchObject({ status: "paused", error: null });
    stage.open("C");
    await runDurableObjectAlarm(runOf(id));
    expect(await getRun(id)).toMatchObject({ status: "paused", error: null });
    expect(stage.count("D")).toBe(0);
    const resumed = await post(`/runs/${id}/resume`);
    expect(resumed.status).toBe(202);
    expect(await resumed.json()).toMatchObject({ status: "running" });
    expect(logOf("chain", await finished(id))).toEqual(DONE.chain);
  });

  it("may be paused by somebody meanwhile, and then waits for both", async () => {
    const id = await heldAt("chain", ["C"]);
    change("chain", remove("D"));
    await reload(id);
    expect((await post(`/runs/${id}/pause`)).status).toBe(202);
    expect(await getRun(id)).toMatchObject({ status: "paused", error: { name: "GraphChanged" } });
    changeBack();
    expect(await reload(id)).toMatchObject({ status: "paused", error: null });
    expect((await post(`/runs/${id}/resume`)).status).toBe(202);
    stage.open("C");
    expect(logOf("chain", await finished(id))).toEqual(DONE.chain);
  });
});

/** What of a run's items is settled, and how many are not: an item that the object itself had in exec is pending after a crash. */
function openOf({ items: { pending, running, ...settled } }: Run): object {
  return { ...settled, open: pending + running };
}

describe("a run of which only what lies behind it has changed", () => {
  it.each(behind)("goes on: %s, %s", async (flow, _, held, edit) => {
    const id = await heldAt(flow, held, ROUNDS);
    const { items } = await getRun(id);
    change(flow, withF(edit));
    expect(await reload(id)).toMatchObject({ status: "running", error: null, items: { succeeded: items.succeeded } });
    stage.open(...ALL);
    const last = await finished(id);
    expect(last).toMatchObject({ status: "completed", error: null, completionReason: "all-succeeded" });
    expect(logOf(flow, last)).toEqual(doneOf(flow));
    expect((await call(`/runs/${id}/items?limit=1000`)).status).toBe(200);
    expect((await call(`/runs/${id}/results`)).status).toBe(200);
  });

  it("is executed by executors that know the new code", async () => {
    const id = await heldAt("loop", ["C/a", "C/b"], ROUNDS);
    change("loop", rename("A", "A2"));
    // The executors are lost too, so that others come, with the code as it now is.
    await Promise.all([0, 1].map((slot) => crash(executorOf(id, slot))));
    await reload(id);
    stage.open(...ALL);
    await Promise.all([0, 1].map((slot) => runDurableObjectAlarm(executorOf(id, slot))));
    expect(logOf("loop", await finished(id))).toEqual(DONE.loop);
  });

  it("is judged by where it is each time: what was ahead may be behind it later", async () => {
    stage.open("A", "C", "E");
    const { id } = await start("deployed, chain", { log: [] });
    await stage.heard("B");
    change("chain", retype("C", "Other"));
    expect(await reload(id)).toMatchObject({ status: "paused" });
    changeBack();
    await reload(id);
    stage.open("B");
    await stage.heard("D");
    change("chain", retype("C", "Other"));
    expect(await reload(id)).toMatchObject({ status: "running" });
    stage.open("D");
    expect(logOf("chain", await finished(id))).toEqual(DONE.chain);
  });
});

describe("a run that is taken up again after its flow was changed", () => {
  /** A run that has finished, in which C has failed, or in one of its branches. */
  async function failedIn(flow: Deployed, place: string): Promise<string> {
    stage.open(...ALL);
    stage.say(`${place} fails`);
    const { id } = await start(`deployed, ${flow}`, { log: [] });
    const { status } = await finished(id);
    expect(status).toBe(flow === "chain" ? "failed" : "completed");
    stage.say(`${place} is healed`);
    return id;
  }

  async function retried(id: string): Promise<Run> {
    await crash(runOf(id));
    const response = await post(`/runs/${id}/retry`);
    expect(response.status).toBe(202);
    return response.json();
  }

  it.each<Case>([
    ["chain", "a node", ["C"], retype("B", "Other"), []],
    ["chain", "a removed node", ["C"], remove("A"), []],
    ["collecting branches", "where branches start", ["C 1"], remove("B"), []],
    ["collecting branches", "the node before them", ["C 1"], retype("A", "Many"), []],
  ])("goes on where only what lies behind that has changed: %s, %s", async (flow, _, [place = ""], edit) => {
    const id = await failedIn(flow, place);
    change(flow, edit);
    expect(await retried(id)).toMatchObject({ status: "running", error: null, redriveCount: 1 });
    const run = await finished(id);
    expect(run).toMatchObject({ status: "completed", completionReason: "all-succeeded" });
    expect(logOf(flow, run)).toEqual(doneOf(flow));
  });

  it.each<Case>([
    ["chain", "the node that had failed", ["C"], retype("C", "Other"), ["node `C` was (Step, node)"]],
    ["chain", "what follows", ["C"], remove("D"), ["node `D` was removed"]],
    ["collecting branches", "the node that had failed", ["C 1"], rename("C", "C2"), ["node `C` was removed"]],
    [
      "collecting branches",
      "the first node, at which a branch had failed",
      ["B 1"],
      retype("B", "Other"),
      ["node `B`"],
    ],
    ["collecting branches", "what was executed after it", ["C 1"], retype("D", "Other"), ["node `D` was (Step, node)"]],
  ])("is paused, and says so: %s, %s", async (flow, _, [place = ""], edit, told) => {
    const id = await failedIn(flow, place);
    change(flow, edit);
    const { status, error, redriveCount } = await retried(id);
    expect({ status, redriveCount }).toEqual({ status: "paused", redriveCount: 1 });
    for (const words of told) expect(error?.message).toContain(words);
    changeBack();
    await reload(id);
    const run = await finished(id);
    expect(run).toMatchObject({ status: "completed", completionReason: "all-succeeded", redriveCount: 1 });
    expect(logOf(flow, run)).toEqual(doneOf(flow));
  });

  it("is as it was as long as nobody takes it up", async () => {
    const id = await failedIn("collecting branches", "C 1");
    const before = await getRun(id);
    change("collecting branches", rename("C", "C2"));
    expect(await reload(id)).toEqual(before);
    change("collecting branches", retype("A", "Wanted"));
    expect(await reload(id)).toEqual(before);
  });
});

describe("a flow with versions", () => {
  const log = (last: string) => [...STEPS("A", "B", "C", "D"), `E by ${last}`];
  const ONE = { ...OLD, version: "1" };
  const TWO = { ...NEW, version: "2" };

  /** A run that is held at C. */
  async function versioned(): Promise<string> {
    stage.open(...ALL.filter((place) => place !== "C"));
    const before = stage.count("C");
    const { id } = await start("versioned", { log: [] });
    await stage.heard("C", before + 1);
    return id;
  }

  it("lets runs of the old one end with its code, while new runs take the new one", async () => {
    deployEntries(ONE);
    const old = await versioned();
    deployEntries(TWO, ONE);
    expect(await reload(old)).toMatchObject({ status: "running", error: null });
    const fresh = await versioned();
    expect(await rows(old, "select version from run")).toEqual([{ version: "1" }]);
    expect(await rows(fresh, "select version from run")).toEqual([{ version: "2" }]);
    stage.open("C");
    expect(await finished(old)).toMatchObject({ status: "completed", output: { by: "old", log: log("Step") } });
    expect(await finished(fresh)).toMatchObject({ status: "completed", output: { by: "new", log: log("Other") } });
  });

  it("gives runs from before it had any the oldest", async () => {
    const id = await versioned();
    expect(await rows(id, "select version from run")).toEqual([{ version: null }]);
    deployEntries(TWO, ONE);
    expect(await reload(id)).toMatchObject({ status: "running", error: null });
    stage.open("C");
    expect(await finished(id)).toMatchObject({ status: "completed", output: { by: "old", log: log("Step") } });
  });

  it("gives them the entry without a version where there is one", async () => {
    const id = await versioned();
    deployEntries(TWO, OLD, { ...NEW, version: "0" });
    expect(await reload(id)).toMatchObject({ status: "running", error: null });
    stage.open("C");
    expect(await finished(id)).toMatchObject({ output: { by: "old", log: log("Step") } });
  });

  it("pauses runs whose version is gone, and names it, until it is there again", async () => {
    deployEntries(ONE);
    const id = await versioned();
    const before = await stored(id);
    deployEntries(TWO);
    const run = await reload(id);
    expect(run).toMatchObject({ status: "paused", error: { name: "GraphChanged" } });
    expect(run.error?.message).toContain("Expected flow `versioned` to have version 1, with which the run began");
    expect(run.error?.message).toContain("it has: 2");
    expect(await resumeProblem(id)).toEqual({ status: 409, detail: run.error?.message });
    expect(await stored(id)).toEqual(before);
    deployEntries(TWO, ONE);
    expect(await reload(id)).toMatchObject({ status: "running", error: null });
    stage.open("C");
    expect(await finished(id)).toMatchObject({ output: { by: "old", log: log("Step") } });
  });

  it("pauses runs whose own version has changed ahead of them", async () => {
    deployEntries(ONE);
    const id = await versioned();
    deployEntries(TWO, { ...NEW, version: "1" });
    const { error } = await reload(id);
    expect(error?.message).toContain("node `E` was (Step, node) and is now (Other, node)");
  });

  it("keeps what its executors do when the code is gone that called them, and comes back", async () => {
    deployEntries(ONE);
    const id = await versioned();
    // So that an executor object has the item.
    await reload(id);
    await stage.heard("C", 2);
    deployEntries(TWO);
    await reload(id);
    stage.open("C");
    await expect.poll(async () => (await getRun(id)).items.succeeded).toBe(3);
    expect(await getRun(id)).toMatchObject({ status: "paused" });
    expect(stage.count("D")).toBe(0);
    deployEntries(TWO, ONE);
    await reload(id);
    expect(await finished(id)).toMatchObject({ output: { by: "old", log: log("Step") } });
    expect(stage.count("C")).toBe(2);
  });
});

describe("a flow's entries are refused at start-up", () => {
  const flow = () => new Flow(new Node());
  const served =
    (one: FlowEntries, more: object = {}) =>
    () =>
      serve({ flows: { digest: one }, ...more });

  it.each<[string, FlowEntries, string[]]>([
    [
      "two of one version",
      [
        { flow, version: "1" },
        { flow, version: "1" },
      ],
      ["`digest`", "versions that differ", "1, 1"],
    ],
    ["two without a version", [{ flow }, { flow }], ["`digest`", "versions that differ", "none, none"]],
    ["none", [], ["`digest`", "no entry"]],
    ["an empty version", { flow, version: "" }, ["`version` of flow `digest`"]],
    [
      "a version with a space",
      [
        { flow, version: "1" },
        { flow, version: "2 b" },
      ],
      ["`version` of flow `digest`", "`2 b`"],
    ],
    ["a long version", { flow, version: "1".repeat(65) }, ["`version` of flow `digest`"]],
    ["a deadline that is none", { flow, deadline: "soon" }, ["`deadline` of flow `digest`", "`soon`"]],
    ["a deadline of no time", { flow, deadline: "0s" }, ["`deadline` of flow `digest`", "`0s`"]],
    ["a deadline as a number", { flow, deadline: 5 as never }, ["`deadline` of flow `digest`", "`5`"]],
    ["a retention that is none", { flow, retain: { completed: "a week" } }, ["`retain.completed` of flow `digest`"]],
    ["one of eleven years", { flow, retain: { failed: "4000d" } }, ["`retain.failed` of flow `digest`", "3650d"]],
    [
      "a mistake in an old version",
      [
        { flow, version: "2" },
        { flow, version: "1", deadline: "never" },
      ],
      ["`deadline` of flow `digest`", "`never`"],
    ],
  ])("%s", (_, one, told) => {
    for (const words of told) expect(served(one)).toThrow(words);
  });

  it("and what serve says itself", () => {
    expect(served(flow, { retain: { completed: "for ever" } })).toThrow("`retain.completed` of serve");
    expect(served(flow, { retain: { failed: "1y" } })).toThrow("`retain.failed` of serve");
    expect(served({ flow, retain: { completed: "1d" } }, { retain: { completed: "1y" } })).toThrow("of serve");
  });

  it("and not what is meant", () => {
    const entry = { flow, deadline: "90m", retain: { completed: "1.5h", failed: "3650d" } };
    expect(served([{ ...entry, version: "2026-11-23_b.1" }, entry])).not.toThrow();
  });
});
