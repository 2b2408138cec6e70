import { describe, expect, it } from "vitest";
import { Graph } from "../../src/core/graph.ts";
import type { Event, RunError } from "../../src/core/run.ts";
import { type BaseNode, BatchFlow, type BatchFlowOptions, Flow, Node, ParallelBatchFlow } from "../../src/index.ts";
import {
  branched,
  CANCELED,
  CHANGED,
  ERROR,
  executed,
  failed,
  follow,
  Machine,
  PAUSED,
  posted,
  prepared,
  RESTORED,
  RESUMED,
  STARTED,
  words,
} from "./machine.ts";

class A extends Node {}
class B extends Node {}

const COLLECT = { onItemError: "collect" } as const;

const machineOf = (flow: BaseNode) => new Machine(new Graph(flow));
const all = (start: BaseNode, options: BatchFlowOptions = COLLECT) =>
  new ParallelBatchFlow(start, { name: "All", ...options });
const each = (start: BaseNode, options: BatchFlowOptions = COLLECT) =>
  new BatchFlow(start, { name: "Each", ...options });
const outer = (start: BaseNode, options: BatchFlowOptions = COLLECT) =>
  new ParallelBatchFlow(start, { name: "Outer", ...options });

/** A and then B. */
function aThenB(): A {
  const a = new A();
  a.next(new B());
  return a;
}

/** A machine of which the batch flow, its first step, has so many branches. */
function parted(flow: BaseNode, size: number): Machine {
  const machine = machineOf(flow);
  for (const event of [STARTED, prepared(1, size)]) machine.on(event);
  return machine;
}

/** Takes a plain node's step through all of its phases. */
function visit(machine: Machine, step: number, action = ""): string[] {
  const made = [prepared(step), executed(step), posted(step, action)].map((event) => machine.on(event));
  return words(made.at(-1)?.effects ?? []);
}

/** Where all steps stand: `A[0] stopped in exec`. */
function stances({ steps }: Machine): string[] {
  return Array.from(steps.values(), ({ node, branch, phase, stoppedIn }) => {
    const where = `${node}${branch && `[${branch}]`}`;
    return stoppedIn === null ? `${where} ${phase}` : `${where} ${phase} in ${stoppedIn}`;
  });
}

const stood = ({ run, steps, ends }: Machine) => ({ run, steps: new Map(steps), ends: [...ends] });

/** The fault of a step, as it is told by who saw it. */
function broken(step: number, message: string): Event {
  const error: RunError = { ...ERROR, message, node: "B", branch: "1", index: 3, attempts: 2 };
  return { type: "failed", step, error, reason: "item-failed" };
}

/** The error of a batch flow that has too many failed branches. */
const exceeded = (message: string, node: string, branch: string): RunError => ({
  name: "ToleranceExceededError",
  message,
  node,
  branch,
  index: null,
  attempts: null,
});

describe("a failed step of a branch, where its batch flow collects failures,", () => {
  it.each([
    ["prep", []],
    ["exec", [prepared(2)]],
    ["post", [prepared(2), executed(2)]],
  ])("is stopped where it stood, in %s, and the others go on", (phase, events) => {
    const machine = parted(all(new A()), 3);
    for (const event of events) machine.on(event);
    const made = machine.on(broken(2, "it is broken"));
    expect(made.effects).toEqual([]);
    expect(stances(machine)).toEqual(["All exec", `A[0] stopped in ${phase}`, "A[1] prep", "A[2] prep"]);
    expect(machine.run).toMatchObject({ status: "running", error: null, finishedMs: null, completionReason: null });
    const error = { ...ERROR, message: "it is broken", node: "B", branch: "1", index: 3, attempts: 2 };
    expect(machine.ends).toEqual([{ step: 1, index: 0, action: null, end: null, error }]);
    expect(machine.steps.get(1)).toMatchObject({ branches: 3, begun: 3, ended: 1, failedBranches: 1 });
  });

  it("lets the next branch begin in its place", () => {
    follow(machineOf(each(new A())), [
      [STARTED, ["prep 1"], "running: Each prep"],
      [prepared(1, 3), ["prep 2"], "running: Each exec, A[0] prep"],
      [failed(2), ["prep 3"], "running: Each exec, A[1] prep"],
      [prepared(3), [], "running: Each exec, A[1] exec"],
      [failed(3), ["prep 4"], "running: Each exec, A[2] prep"],
    ]);
    const machine = parted(all(new A(), { ...COLLECT, concurrency: 2 }), 4);
    expect(words(machine.on(failed(3)).effects)).toEqual(["prep 4"]);
    expect(String(machine)).toBe("running: All exec, A[0] prep, A[2] prep");
  });

  it("is followed by post if it was the last to end, though all have failed", () => {
    const machine = parted(all(new A()), 3);
    expect([visit(machine, 3), ...[2, 4].map((step) => words(machine.on(failed(step)).effects))]).toEqual([
      [],
      [],
      ["post 1"],
    ]);
    const none = parted(all(new A()), 2);
    expect([3, 2].map((step) => words(none.on(failed(step)).effects))).toEqual([[], ["post 1"]]);
    expect(String(none)).toBe("running: All post");
    none.on(posted(1, "done"));
    expect(none.run).toMatchObject({ status: "completed", action: "done", error: null });
    expect(none.steps.get(1)).toMatchObject({ phase: "done", ended: 2, failedBranches: 2 });
  });

  it("leaves done what its branch has done before", () => {
    const machine = parted(all(aThenB()), 2);
    visit(machine, 2);
    machine.on(failed(4));
    expect(stances(machine)).toEqual(["All exec", "A[0] done", "A[1] prep", "B[0] stopped in prep"]);
  });

  it("is stopped with the flows that it is in, up to the branch", () => {
    const inner = new Flow(new Flow(new A(), { name: "Deep" }), { name: "Inner" });
    const machine = parted(all(inner), 2);
    for (const event of [prepared(2), prepared(4), prepared(5)]) machine.on(event);
    machine.on(failed(5));
    expect(stances(machine)).toEqual([
      "All exec",
      "Inner[0] stopped in exec",
      "Inner[1] prep",
      "Deep[0] stopped in exec",
      "A[0] stopped in exec",
    ]);
    expect(machine.ends.map(({ step, index }) => [step, index])).toEqual([[1, 0]]);
  });

  it("may be a flow in its own prep, or in its post once its walk has ended", () => {
    const machine = parted(all(new Flow(new A(), { name: "Inner" })), 2);
    machine.on(prepared(3));
    visit(machine, 4);
    for (const step of [2, 3]) machine.on(failed(step));
    expect(stances(machine)).toEqual(["All post", "Inner[0] stopped in prep", "Inner[1] stopped in post", "A[1] done"]);
  });

  it("begins the rest of many branches that were not yet told of", () => {
    const machine = parted(all(new A()), 501);
    expect(words(machine.on(failed(2)).effects)).toEqual(["prep 502"]);
    for (let step = 3; step <= 502; step++) machine.on(failed(step));
    expect(String(machine)).toBe("running: All post");
    expect(machine.steps.get(1)).toMatchObject({ begun: 501, ended: 501, failedBranches: 501 });
  });
});

describe("a failed step, where no batch flow around it collects failures,", () => {
  it.each([
    ["no batch flow at all", new Flow(new A(), { name: "Flow" }), [prepared(1)], 2, ["Flow exec", "A prep"]],
    ["one that fails", all(new A(), {}), [prepared(1, 2)], 3, ["All exec", "A[0] prep", "A[1] prep"]],
    [
      "one inside that collects",
      outer(each(new A()), { onItemError: "fail" }),
      [prepared(1, 2)],
      3,
      ["Outer exec", "Each[0] prep", "Each[1] prep"],
    ],
    ["the collecting one itself, in prep", all(new A()), [], 1, ["All prep"]],
    ["the collecting one itself, in post", all(new A()), [prepared(1, 0)], 1, ["All post"]],
  ])("ends the run with its error and leaves all steps where they stood: %s", (_, flow, events, step, places) => {
    const machine = machineOf(flow);
    for (const event of [STARTED, ...events]) machine.on(event);
    const nowMs = machine.nowMs;
    const made = machine.on(broken(step, "it is broken"));
    expect([made.steps, made.ends, made.effects, machine.pending]).toEqual([[], [], [], []]);
    expect(stances(machine)).toEqual(places);
    expect(machine.run).toMatchObject({
      status: "failed",
      completionReason: "item-failed",
      finishedMs: nowMs,
      error: { message: "it is broken", node: "B", branch: "1", index: 3, attempts: 2 },
    });
  });

  it("fails the run with what it is told was the reason", () => {
    const machine = parted(all(new A(), {}), 1);
    machine.on(failed(2));
    expect(machine.run).toMatchObject({ status: "failed", completionReason: "flow-failed", error: ERROR });
  });
});

describe("a failed step within batch flows", () => {
  /** Outer collects; each of its branches is a batch flow, of A; of these the first has two branches under way, in turn or at once. */
  function within(inner: BaseNode): Machine {
    const machine = parted(outer(inner), 2);
    machine.on(prepared(2, 3));
    return machine;
  }

  it("stops what is under way in all branches of the one that fails with it, and nothing of other branches", () => {
    const machine = within(all(aThenB(), {}));
    machine.on(prepared(3, 1));
    visit(machine, 4);
    machine.on(prepared(5));
    machine.on(failed(6));
    expect(stances(machine)).toEqual([
      "Outer exec",
      "All[0] stopped in exec",
      "All[1] exec",
      "A[0/0] done",
      "A[0/1] stopped in exec",
      "A[0/2] stopped in prep",
      "A[1/0] prep",
      "B[0/0] stopped in prep",
    ]);
    expect(machine.ends.map(({ step, index, error }) => [step, index, error !== null])).toEqual(
      [
        [2, 0, false],
        [1, 0, true],
      ].slice(1),
    );
    expect(machine.steps.get(2)).toMatchObject({ begun: 3, ended: 0, failedBranches: 0 });
  });

  it("is its own branch's failure alone where the inner one collects", () => {
    const machine = within(all(new A()));
    machine.on(failed(4));
    expect(String(machine)).toBe("running: Outer exec, All[0] exec, All[1] prep, A[0/1] prep, A[0/2] prep");
    expect(machine.ends.map(({ step, index }) => [step, index])).toEqual([[2, 0]]);
    expect([1, 2].map((step) => machine.steps.get(step)?.failedBranches)).toEqual([0, 1]);
  });

  it("is, if it is the inner batch flow itself, in prep or in post, a failed branch of the outer one", () => {
    const machine = within(each(new A()));
    for (const step of [4, 5, 6]) machine.on(failed(step));
    expect(String(machine)).toBe("running: Outer exec, Each[0] post, Each[1] prep");
    expect(words(machine.on(failed(2)).effects)).toEqual([]);
    expect(words(machine.on(failed(3)).effects)).toEqual(["post 1"]);
    expect(stances(machine)).toEqual([
      "Outer post",
      "Each[0] stopped in post",
      "Each[1] stopped in prep",
      ...[0, 1, 2].map((n) => `A[0/${n}] stopped in prep`),
    ]);
  });

  it("stops, with branch 1, nothing of branch 10", () => {
    const machine = parted(outer(all(new A(), {})), 12);
    for (const step of [3, 12]) machine.on(prepared(step, 1));
    machine.on(failed(14));
    const stopped = Array.from(machine.steps.values()).filter(({ phase }) => phase === "stopped");
    expect(stopped.map(({ node, branch }) => [node, branch])).toEqual([
      ["All", "1"],
      ["A", "1/0"],
    ]);
  });

  it("climbs over several that fail to the one that collects", () => {
    const machine = parted(outer(new BatchFlow(all(new A(), {}), { name: "Middle" })), 2);
    for (const event of [prepared(2, 2), prepared(4, 2)]) machine.on(event);
    machine.on(failed(6));
    expect(stances(machine)).toEqual([
      "Outer exec",
      "Middle[0] stopped in exec",
      "Middle[1] prep",
      "All[0/0] stopped in exec",
      "A[0/0/0] stopped in prep",
      "A[0/0/1] stopped in prep",
    ]);
    expect(machine.ends).toEqual([{ step: 1, index: 0, action: null, end: null, error: ERROR }]);
  });
});

describe("more failed branches than are tolerated", () => {
  it("fail the run, which keeps all steps where they stood", () => {
    const machine = parted(all(new A(), { tolerate: { count: 1 } }), 5);
    machine.on(failed(4));
    expect(machine.run.status).toBe("running");
    const before = stances(machine);
    const made = machine.on(failed(3));
    expect([made.steps, made.ends, made.effects]).toEqual([[], [], []]);
    expect(stances(machine)).toEqual(before);
    expect(machine.run).toMatchObject({
      status: "failed",
      completionReason: "tolerance-exceeded",
      error: exceeded("Expected at most 1 of the 5 branches of All to fail, got 2", "All", ""),
    });
    expect(machine.steps.get(1)).toMatchObject({ ended: 1, failedBranches: 1 });
  });

  it.each([
    [{ percentage: 40 }, 2],
    [{ percentage: 39 }, 1],
    [{ percentage: 0 }, 0],
    [{ percentage: 100 }, 5],
    [{ count: 0 }, 0],
    [{ count: 4, percentage: 60 }, 3],
  ])("are one more than %o of five allows", (tolerate, most) => {
    const machine = parted(all(new A(), { tolerate }), 5);
    const statuses = [2, 3, 4, 5, 6].map((step) => {
      machine.on(failed(step));
      return machine.run.status;
    });
    expect(statuses.filter((status) => status === "running")).toHaveLength(most);
    if (most === 5) expect(String(machine)).toBe("running: All post");
  });

  it("are one failure of the next one around that collects, with all that is under way inside stopped", () => {
    const inner = all(new A(), { tolerate: { count: 1 } });
    const machine = parted(outer(new Flow(inner, { name: "Flow" })), 2);
    for (const event of [prepared(2), prepared(4, 3)]) machine.on(event);
    machine.on(failed(5));
    machine.on(failed(6));
    expect(stances(machine)).toEqual([
      "Outer exec",
      "Flow[0] stopped in exec",
      "Flow[1] prep",
      "All[0] stopped in exec",
      "A[0/0] stopped in prep",
      "A[0/1] stopped in prep",
      "A[0/2] stopped in prep",
    ]);
    const error = exceeded("Expected at most 1 of the 3 branches of All to fail, got 2", "All", "0");
    expect(machine.ends).toEqual([
      { step: 4, index: 0, action: null, end: null, error: ERROR },
      { step: 1, index: 0, action: null, end: null, error },
    ]);
    expect(machine.run.error).toBeNull();
  });

  it("may exceed what the next one tolerates too, whose error the run then has", () => {
    const machine = parted(outer(all(new A(), { tolerate: { count: 0 } }), { tolerate: { percentage: 50 } }), 3);
    for (const event of [prepared(2, 1), prepared(3, 1), failed(5), failed(6)]) machine.on(event);
    expect(machine.run).toMatchObject({
      status: "failed",
      completionReason: "tolerance-exceeded",
      error: exceeded("Expected at most 50 % of the 3 branches of Outer to fail, got 2", "Outer", ""),
    });
    expect(String(machine)).toBe("failed: Outer exec, All[1] exec, All[2] prep, A[1/0] prep");
  });

  it("are not counted together with those of another visit", () => {
    const inner = each(new A(), { tolerate: { count: 1 } });
    inner.on("again", inner);
    const machine = machineOf(new Flow(inner, { name: "Loop" }));
    for (const event of [STARTED, prepared(1)]) machine.on(event);
    for (let step = 2; step < 12; step += 3) {
      for (const event of [prepared(step, 2), failed(step + 1)]) machine.on(event);
      visit(machine, step + 2);
      machine.on(posted(step, "again"));
    }
    expect(String(machine)).toBe("running: Loop exec, Each prep");
  });
});

describe("a branch that makes too many steps", () => {
  it("has failed where it stood, and the others go on", () => {
    const a = new A();
    a.on("again", a);
    const machine = parted(all(a, { ...COLLECT, maxSteps: 1 }), 2);
    expect(visit(machine, 2, "again")).toEqual([]);
    expect(stances(machine)).toEqual(["All exec", "A[0] stopped in post", "A[1] prep"]);
    expect(machine.ends).toEqual([
      {
        step: 1,
        index: 0,
        action: null,
        end: null,
        error: {
          ...ERROR,
          message: "Expected flow `All` to end within 1 step (maxSteps), got a 2nd: `A`",
          node: "A",
          branch: "0",
        },
      },
    ]);
    expect(visit(machine, 3)).toEqual(["post 1"]);
    expect(machine.run.lastStep).toBe(3);
  });

  it("in a flow of its own is stopped with that flow", () => {
    const a = new A();
    a.on("again", a);
    const machine = parted(all(new Flow(a, { name: "Loop", maxSteps: 2 })), 1);
    machine.on(prepared(2));
    for (const step of [3, 4]) visit(machine, step, "again");
    expect(stances(machine)).toEqual(["All post", "Loop[0] stopped in exec", "A[0] done", "A[0] stopped in post"]);
    expect(machine.ends[0]?.error?.message).toBe(
      "Expected flow `Loop` to end within 2 steps (maxSteps), got a 3rd: `A`",
    );
  });

  it("may be one too many", () => {
    const a = new A();
    a.on("again", a);
    const machine = parted(all(a, { tolerate: { count: 0 }, maxSteps: 1 }), 2);
    visit(machine, 2, "again");
    expect(machine.run).toMatchObject({ status: "failed", completionReason: "tolerance-exceeded" });
    expect(stances(machine)).toEqual(["All exec", "A[0] post", "A[1] prep"]);
  });
});

describe("an event that comes too late changes nothing", () => {
  it.each([
    ["its step was stopped in prep", [failed(2)], [prepared(2), prepared(2, 0), failed(2), executed(2), posted(2)]],
    ["its step was stopped in exec", [prepared(2), failed(2)], [executed(2), prepared(2), failed(2), posted(2)]],
    [
      "its step was stopped in post",
      [prepared(2), executed(2), failed(2)],
      [posted(2), posted(2, "again"), failed(2), executed(2)],
    ],
    ["its step is done", [prepared(2), executed(2), posted(2)], [failed(2), posted(2)]],
    ["its step has never begun", [], [failed(99)]],
  ])("when %s", (_, events, late) => {
    const machine = parted(all(new A()), 3);
    for (const event of events) machine.on(event);
    const before = stood(machine);
    for (const event of late) expect(machine.on(event)).toEqual({ run: before.run, steps: [], ends: [], effects: [] });
    expect(stood(machine)).toEqual(before);
  });

  it("when its batch flow was stopped, with all branches", () => {
    const machine = parted(outer(all(new A(), { concurrency: 1 })), 2);
    machine.on(prepared(2, 3));
    machine.on(failed(2));
    const before = stood(machine);
    for (const event of [branched(2), prepared(2, 3), prepared(4), failed(4), posted(2), executed(4)]) {
      expect(machine.on(event)).toEqual({ run: before.run, steps: [], ends: [], effects: [] });
    }
    expect(stances(machine)).toEqual(["Outer exec", "All[0] stopped in exec", "All[1] prep", "A[0/0] stopped in prep"]);
  });

  it("when the run has finished, failed or canceled", () => {
    for (const end of [failed(1), CANCELED]) {
      const machine = parted(all(new A()), 2);
      machine.on(end);
      const before = stood(machine);
      for (const event of [failed(2), prepared(2), PAUSED, RESUMED, CHANGED, RESTORED, CANCELED, STARTED]) {
        expect(machine.on(event)).toEqual({ run: before.run, steps: [], ends: [], effects: [] });
      }
      expect(stood(machine)).toEqual(before);
    }
  });
});

describe("a paused run", () => {
  it.each<[events: Event[], state: string]>([
    [[PAUSED], "paused"],
    [[PAUSED, RESUMED], "running"],
    [[PAUSED, PAUSED, RESUMED], "running"],
    [[RESUMED], "running"],
    [[CHANGED], "paused"],
    [[CHANGED, RESTORED], "running"],
    [[RESTORED], "running"],
    [[PAUSED, CHANGED], "paused"],
    [[PAUSED, CHANGED, RESUMED], "paused"],
    [[PAUSED, CHANGED, RESTORED], "paused"],
    [[PAUSED, CHANGED, RESUMED, RESTORED], "running"],
    [[PAUSED, CHANGED, RESTORED, RESUMED], "running"],
    [[CHANGED, PAUSED, RESUMED], "paused"],
    [[CHANGED, PAUSED, RESTORED], "paused"],
    [[CHANGED, PAUSED, RESTORED, RESUMED], "running"],
    [[CHANGED, RESUMED, RESTORED], "running"],
    [[PAUSED, RESTORED], "paused"],
    [[CHANGED, RESUMED], "paused"],
  ])("goes on when nothing is left to be paused for: %j", (events, state) => {
    const machine = parted(all(new A()), 2);
    const effects = words(machine.pending);
    for (const event of events) expect(machine.on(event).effects).toEqual([]);
    expect(String(machine)).toBe(`${state}: All exec, A[0] prep, A[1] prep`);
    expect(words(machine.pending)).toEqual(state === "running" ? effects : []);
    const isAsked = events.lastIndexOf(PAUSED) > events.lastIndexOf(RESUMED);
    expect(machine.run.isPauseAsked).toBe(isAsked);
    const isChanged = events.lastIndexOf(CHANGED) > events.lastIndexOf(RESTORED);
    expect(machine.run.error).toEqual(isChanged ? ERROR : null);
    expect(machine.run.finishedMs).toBeNull();
  });

  it.each<[events: Event[], status: string]>([
    [[PAUSED], "paused"],
    [[PAUSED, RESUMED], "queued"],
    [[CHANGED, RESTORED], "queued"],
    [[PAUSED, CHANGED, RESUMED], "paused"],
    [[RESUMED], "queued"],
  ])("that has not begun is queued again: %j", (events, status) => {
    const machine = machineOf(all(new A()));
    for (const event of events) machine.on(event);
    expect([machine.run.status, machine.run.lastStep, machine.run.startedMs]).toEqual([status, 0, null]);
    machine.on(STARTED);
    expect(String(machine)).toBe(status === "queued" ? "running: All prep" : "paused");
  });

  it("takes in what ends meanwhile, failures too, and does what comes of it when it goes on", () => {
    const machine = parted(all(aThenB()), 2);
    for (const event of [prepared(2), prepared(3), PAUSED, executed(2), failed(3)]) machine.on(event);
    expect(String(machine)).toBe("paused: All exec, A[0] post");
    expect([machine.pending, machine.ends.length]).toEqual([[], 1]);
    machine.on(RESUMED);
    expect(words(machine.pending)).toEqual(["post 2"]);
    expect(words(machine.on(posted(2)).effects)).toEqual(["prep 4"]);
  });

  it("may fail or be canceled, and is paused no more", () => {
    for (const [end, status] of [
      [failed(1), "failed"],
      [CANCELED, "canceled"],
    ] as const) {
      const machine = parted(all(new A()), 1);
      for (const event of [PAUSED, CHANGED, end]) machine.on(event);
      expect(machine.run.status).toBe(status);
      expect(machine.on(RESUMED).run.status).toBe(status);
    }
  });
});

describe("why a run has finished", () => {
  const one = () => {
    const machine = machineOf(new A());
    for (const event of [STARTED, prepared(1), executed(1)]) machine.on(event);
    return machine;
  };

  it.each<[reason: string, event: Event]>([
    ["all-succeeded", posted(1)],
    ["all-succeeded", { type: "posted", step: 1, action: null, hasFailures: false }],
    ["failures-tolerated", { type: "posted", step: 1, action: null, hasFailures: true }],
    ["canceled", CANCELED],
    ["item-failed", broken(1, "no")],
    ["deadline-exceeded", { type: "broke", error: ERROR, reason: "deadline-exceeded" }],
  ])("is %s after %j", (reason, event) => {
    const machine = one();
    expect(machine.run.completionReason).toBeNull();
    machine.on(event);
    expect(machine.run.completionReason).toBe(reason);
  });
});
