import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Graph } from "../../src/core/graph.ts";
import { redriven, reopen, waitingWithin } from "../../src/core/redrive.ts";
import { changesAhead } from "../../src/core/remaining.ts";
import {
  type Effect,
  type Event,
  indexOf,
  isFinished,
  isOpen,
  NEW_RUN,
  type Redrive,
  type RunState,
  type Step,
} from "../../src/core/run.ts";
import {
  type BaseNode,
  BatchFlow,
  type BatchFlowOptions,
  BatchNode,
  Flow,
  Node,
  ParallelBatchFlow,
} from "../../src/index.ts";
import { CANCELED, ERROR, executed, failed, Machine, posted, prepared, STARTED, words } from "./machine.ts";
import { check } from "./run-model.ts";

class A extends Node {}
class B extends Node {}

const COLLECT = { onItemError: "collect" } as const;
const REDRIVE: Redrive = { atMs: 5000, status: "failed", completionReason: "item-failed", failed: 2 };

/** What a run's object does with its rows when it is redriven. */
function redrive(machine: Machine, chosen: number[] | null = null): ReturnType<typeof reopen<Step>> {
  const all = [...machine.steps.values()];
  const standing = {
    open: machine.open,
    stopped: all.filter(({ phase }) => phase === "stopped"),
    failedEnds: machine.ends.filter(({ error }) => error !== null),
  };
  const made = reopen(standing, chosen && new Set(chosen));
  for (const step of made.steps) machine.steps.set(step.id, step);
  for (const end of made.forgotten) machine.ends.splice(machine.ends.indexOf(end), 1);
  machine.run = redriven(machine.run, REDRIVE);
  return made;
}

const waitingIn = (machine: Machine) =>
  waitingWithin(
    machine.open,
    [...machine.steps.values()].filter(({ phase }) => phase === "stopped"),
  );

function stances({ steps }: Machine): string[] {
  return Array.from(steps.values(), ({ node, branch, phase, stoppedIn }) => {
    const where = `${node}${branch && `[${branch}]`}`;
    return stoppedIn === null ? `${where} ${phase}` : `${where} ${phase} in ${stoppedIn}`;
  });
}

const machineOf = (flow: BaseNode) => new Machine(new Graph(flow));

/** A machine of which the batch flow, its first step, has so many branches. */
function parted(flow: BaseNode, size: number): Machine {
  const machine = machineOf(flow);
  for (const event of [STARTED, prepared(1, size)]) machine.on(event);
  return machine;
}

/** Takes a plain node's step on from wherever it stands. */
function visit(machine: Machine, step: number): string[] {
  const made = [prepared(step), executed(step), posted(step)].map((event) => machine.on(event));
  return words(made.at(-1)?.effects ?? []);
}

const each = (start: BaseNode, options: BatchFlowOptions = COLLECT) =>
  new BatchFlow(start, { name: "Each", ...options });
const all = (start: BaseNode, options: BatchFlowOptions = COLLECT) =>
  new ParallelBatchFlow(start, { name: "All", ...options });
const outer = (start: BaseNode, options: BatchFlowOptions = COLLECT) =>
  new ParallelBatchFlow(start, { name: "Outer", ...options });

describe("a run that is redriven", () => {
  const before: RunState = {
    ...NEW_RUN,
    status: "failed",
    lastStep: 7,
    action: "done",
    error: ERROR,
    warnings: ["a warning"],
    startedMs: 1000,
    finishedMs: 2000,
    completionReason: "item-failed",
    isPauseAsked: true,
  };

  it("goes on running, with nothing left of its end but an entry in its history", () => {
    expect(redriven(before, REDRIVE)).toEqual({
      status: "running",
      lastStep: 7,
      action: null,
      error: null,
      warnings: ["a warning"],
      startedMs: 1000,
      finishedMs: null,
      completionReason: null,
      isPauseAsked: false,
      redrives: [REDRIVE],
      redriveCount: 1,
    });
  });

  it("is queued where it had never begun", () => {
    const never: RunState = { ...NEW_RUN, status: "canceled", completionReason: "canceled", finishedMs: 1 };
    expect(redriven(never, REDRIVE)).toEqual({ ...NEW_RUN, redrives: [REDRIVE], redriveCount: 1 });
    const machine = machineOf(new A());
    for (const event of [CANCELED]) machine.on(event);
    redrive(machine);
    expect(words(machine.on(STARTED).effects)).toEqual(["prep 1"]);
  });

  it("remembers its latest hundred redrives, and how many there were", () => {
    let run = before;
    for (let at = 1; at <= 250; at++) run = redriven(run, { ...REDRIVE, atMs: at });
    expect(run.redrives.map(({ atMs }) => atMs)).toEqual(Array.from({ length: 100 }, (_, n) => 151 + n));
    expect(run.redriveCount).toBe(250);
  });

  it("has the steps that it was at as they stood, where none was stopped", () => {
    for (const end of [failed(2), CANCELED]) {
      const machine = machineOf(new Flow(new A()));
      for (const event of [STARTED, prepared(1), prepared(2), end]) machine.on(event);
      const stood = new Map(machine.steps);
      expect(redrive(machine).forgotten).toEqual([]);
      expect(machine.steps).toEqual(stood);
      expect(String(machine)).toBe("running: Flow exec, A exec");
    }
  });

  it("has nothing to go on with where it had completed", () => {
    const machine = parted(all(new A()), 1);
    for (const event of [failed(2), posted(1)]) machine.on(event);
    expect(redrive(machine)).toEqual({ steps: [], forgotten: [] });
    expect(stances(machine)).toEqual(["All done", "A[0] stopped in prep"]);
  });
});

describe("failed branches of a batch flow that is under way", () => {
  /** All: five branches, of which 0, 2 and 3 have failed, in prep, in exec and in post. */
  function threeFailed(options: BatchFlowOptions = COLLECT): Machine {
    const machine = parted(all(new A(), options), 5);
    for (const event of [prepared(4), prepared(5), executed(5), failed(5), failed(2), failed(4)]) machine.on(event);
    visit(machine, 3);
    machine.on(CANCELED);
    return machine;
  }

  it("have not ended any more, and wait for their turn in order", () => {
    const machine = threeFailed();
    const { forgotten } = redrive(machine);
    expect(forgotten.map(({ step, index }) => [step, index]).sort()).toEqual([
      [1, 0],
      [1, 2],
      [1, 3],
    ]);
    expect(machine.ends).toEqual([{ step: 1, index: 1, action: "", end: 3, error: null }]);
    expect(machine.steps.get(1)).toMatchObject({
      phase: "exec",
      branches: 5,
      begun: 5,
      ended: 1,
      failedBranches: 0,
      waiting: [0, 2, 3],
    });
    expect(waitingIn(machine).map(({ branch }) => branch)).toEqual(["0", "2", "3"]);
    expect(words(machine.pending)).toEqual(["prep 6", "branch 1"].sort());
  });

  it("go on where they stood, and post comes after the last", () => {
    const machine = threeFailed();
    redrive(machine);
    const made = machine.on({ type: "branched", step: 1 });
    expect(words(made.effects).sort()).toEqual(["post 5", "prep 2"]);
    expect(stances(machine)).toEqual(["All exec", "A[0] prep", "A[1] done", "A[2] exec", "A[3] post", "A[4] prep"]);
    expect([2, 4, 5, 6].map((step) => visit(machine, step))).toEqual([[], [], [], ["post 1"]]);
    machine.on(posted(1));
    expect(machine.run).toMatchObject({ status: "completed", completionReason: "all-succeeded" });
    expect(machine.steps.get(1)).toMatchObject({ ended: 5, failedBranches: 0, waiting: [] });
    expect(machine.ends.map(({ index }) => index).sort()).toEqual([0, 1, 2, 3, 4]);
  });

  it("are no more at once than `concurrency` allows, and come before branches that have never begun", () => {
    const machine = parted(all(new A(), { ...COLLECT, concurrency: 2 }), 6);
    for (const step of [2, 3, 4]) machine.on(failed(step));
    machine.on(CANCELED);
    expect(String(machine)).toBe("canceled: All exec, A[3] prep, A[4] prep");
    redrive(machine);
    expect(words(machine.pending).sort()).toEqual(["prep 5", "prep 6"]);
    expect(visit(machine, 5)).toEqual(["prep 2"]);
    expect(visit(machine, 2)).toEqual(["prep 3"]);
    expect(visit(machine, 6)).toEqual(["prep 4"]);
    expect(visit(machine, 3)).toEqual(["prep 7"]);
    expect([visit(machine, 4), visit(machine, 7)]).toEqual([[], ["post 1"]]);
  });

  it("come one after the other where the flow's branches do", () => {
    const machine = parted(each(new A()), 3);
    for (const event of [failed(2), failed(3), failed(4), failed(1)]) machine.on(event);
    expect(String(machine)).toBe("failed: Each post");
    redrive(machine);
    expect(String(machine)).toBe("running: Each exec");
    expect(words(machine.pending)).toEqual(["branch 1"]);
    expect(words(machine.on({ type: "branched", step: 1 }).effects)).toEqual(["prep 2"]);
    expect([2, 3, 4].map((step) => visit(machine, step))).toEqual([["prep 3"], ["prep 4"], ["post 1"]]);
  });

  it("may fail again, and be redriven again", () => {
    const machine = threeFailed({ tolerate: { count: 3 } });
    for (const status of ["running", "running"]) {
      redrive(machine);
      machine.on({ type: "branched", step: 1 });
      for (const step of [2, 4]) machine.on(failed(step));
      expect(machine.run.status).toBe(status);
      expect(machine.steps.get(1)).toMatchObject({ ended: 3, failedBranches: 2 });
      machine.on(CANCELED);
    }
    redrive(machine);
    expect(machine.steps.get(1)).toMatchObject({ ended: 1, failedBranches: 0, waiting: [0, 2] });
    expect(machine.run.redriveCount).toBe(3);
  });

  it("that still wait when the run fails once more wait still after another redrive", () => {
    const machine = parted(each(new A(), { tolerate: { count: 2 } }), 4);
    for (const step of [2, 3, 4]) machine.on(failed(step));
    expect(machine.run.status).toBe("failed");
    redrive(machine);
    expect(String(machine)).toBe("running: Each exec, A[2] prep");
    expect(machine.steps.get(1)).toMatchObject({ waiting: [0, 1], failedBranches: 0, ended: 0 });
    machine.on(failed(4));
    expect(String(machine)).toBe("running: Each exec, A[0] prep");
    machine.on(CANCELED);
    redrive(machine);
    expect(machine.steps.get(1)).toMatchObject({ waiting: [1, 2], failedBranches: 0, ended: 0, begun: 3 });
    for (const step of [2, 3, 4]) visit(machine, step);
    expect(String(machine)).toBe("running: Each exec, A[3] prep");
  });

  it("are ahead of the run, with all that they may come to", () => {
    const a = new A();
    a.next(new B());
    const machine = parted(all(a), 2);
    for (const event of [failed(2), prepared(3), executed(3), posted(3), CANCELED]) machine.on(event);
    redrive(machine);
    const before = machine.graph.shape();
    const after = new Graph(all(new B())).shape();
    const places = [...machine.open, ...waitingIn(machine)];
    expect(changesAhead(before, before, places)).toEqual([]);
    expect(changesAhead(before, after, places)).toContain("node `A` was removed");
    expect(changesAhead(before, after, machine.open)).toEqual([]);
  });

  it("are left as they are where the batch flow's post has seen them", () => {
    const first = all(new A());
    first.next(new B());
    const machine = machineOf(new Flow(first));
    for (const event of [STARTED, prepared(1), prepared(2, 2), failed(3), failed(4), posted(2), failed(5)]) {
      machine.on(event);
    }
    const { forgotten } = redrive(machine);
    expect(forgotten).toEqual([]);
    expect(waitingIn(machine)).toEqual([]);
    expect(String(machine)).toBe("running: Flow exec, B prep");
    expect(machine.ends).toHaveLength(2);
  });
});

describe("failed branches within failed branches", () => {
  it("wait for their own batch flow, which waits for its outer one", () => {
    const machine = parted(outer(each(new A())), 2);
    for (const event of [prepared(2, 3), failed(4), failed(5), failed(6), failed(2)]) machine.on(event);
    expect(stances(machine)).toEqual([
      "Outer exec",
      "Each[0] stopped in post",
      "Each[1] prep",
      ...[0, 1, 2].map((n) => `A[0/${n}] stopped in prep`),
    ]);
    machine.on(CANCELED);
    redrive(machine);
    expect(machine.steps.get(2)).toMatchObject({
      phase: "stopped",
      stoppedIn: "exec",
      ended: 0,
      failedBranches: 0,
      waiting: [0, 1, 2],
    });
    expect(waitingIn(machine)).toHaveLength(4);
    expect(words(machine.on({ type: "branched", step: 1 }).effects)).toEqual(["branch 2"]);
    expect(String(machine)).toBe("running: Outer exec, Each[0] exec, Each[1] prep");
    expect(words(machine.on({ type: "branched", step: 2 }).effects)).toEqual(["prep 4"]);
    expect([4, 5, 6].map((step) => visit(machine, step))).toEqual([["prep 5"], ["prep 6"], ["post 2"]]);
    machine.on(posted(2));
    expect(machine.ends.map(({ step, index, error }) => [step, index, error])).toEqual([
      ...[0, 1, 2].map((index) => [2, index, null]),
      [1, 0, null],
    ]);
  });

  it("that were stopped with others, of one that fails, go on together", () => {
    const machine = parted(outer(all(new A(), {})), 1);
    for (const event of [prepared(2, 3), prepared(4), failed(3), failed(1)]) machine.on(event);
    expect(machine.run.status).toBe("failed");
    redrive(machine);
    const made = machine.on({ type: "branched", step: 1 });
    expect(words(made.effects).sort()).toEqual(["prep 3", "prep 5"]);
    expect(stances(machine)).toEqual(["Outer exec", "All[0] exec", "A[0/0] prep", "A[0/1] exec", "A[0/2] prep"]);
  });

  it("go on with one effect for each that begins, those of an inner flow included", () => {
    const machine = parted(outer(new Flow(each(new A()), { name: "Flow" })), 1);
    for (const event of [prepared(2), prepared(3, 2), failed(4), failed(5), failed(3), failed(1)]) machine.on(event);
    redrive(machine);
    expect(words(machine.on({ type: "branched", step: 1 }).effects)).toEqual(["branch 3"]);
    expect(String(machine)).toBe("running: Outer exec, Flow[0] exec, Each[0] exec");
  });
});

describe("branches with chosen steps", () => {
  it("alone wait again; the others have failed as before", () => {
    const machine = parted(all(new A()), 5);
    for (const step of [2, 4, 5]) machine.on(failed(step));
    machine.on(CANCELED);
    expect(redrive(machine, [4]).forgotten.map(({ index }) => index)).toEqual([2]);
    expect(machine.steps.get(1)).toMatchObject({ begun: 5, ended: 2, failedBranches: 2, waiting: [2] });
    expect(machine.ends.map(({ index }) => index).sort()).toEqual([0, 3]);
    expect(waitingIn(machine).map(({ id }) => id)).toEqual([4]);
    machine.on({ type: "branched", step: 1 });
    expect(stances(machine)).toEqual([
      "All exec",
      "A[0] stopped in prep",
      "A[1] prep",
      "A[2] prep",
      "A[3] stopped in prep",
      "A[4] prep",
    ]);
    expect([3, 4, 6].map((step) => visit(machine, step))).toEqual([[], [], ["post 1"]]);
    machine.on(CANCELED);
    expect(redrive(machine).forgotten.map(({ index }) => index)).toEqual([0, 3]);
    expect(machine.steps.get(1)).toMatchObject({ phase: "exec", ended: 3, failedBranches: 0, waiting: [0, 3] });
  });

  it("are none where the chosen are under way, over, or unknown", () => {
    const machine = parted(all(new A()), 3);
    for (const event of [failed(2), CANCELED]) machine.on(event);
    const steps = new Map(machine.steps);
    expect(redrive(machine, [3, 99]).forgotten).toEqual([]);
    expect(machine.steps).toEqual(steps);
  });

  it("take their batch flow back from its post, and leave one at it that has none", () => {
    const machine = parted(outer(all(new A())), 2);
    for (const event of [prepared(2, 2), prepared(3, 2), ...[4, 5, 6, 7].map((step) => failed(step))])
      machine.on(event);
    for (const event of [failed(2), failed(3), failed(1)]) machine.on(event);
    expect(stances(machine).slice(0, 3)).toEqual(["Outer post", "All[0] stopped in post", "All[1] stopped in post"]);
    redrive(machine, [5]);
    expect(stances(machine).slice(0, 3)).toEqual(["Outer exec", "All[0] stopped in exec", "All[1] stopped in post"]);
    expect(machine.steps.get(1)).toMatchObject({ ended: 1, failedBranches: 1, waiting: [0] });
    expect(machine.steps.get(2)).toMatchObject({ ended: 0, failedBranches: 0, waiting: [0, 1] });
    expect(machine.steps.get(3)).toMatchObject({ ended: 2, failedBranches: 2, waiting: [] });
    expect(waitingIn(machine).map(({ id }) => id)).toEqual([2, 4, 5]);
    machine.on({ type: "branched", step: 1 });
    expect(words(machine.on({ type: "branched", step: 2 }).effects)).toEqual(["prep 4", "prep 5"]);
    machine.on(failed(4));
    expect(visit(machine, 5)).toEqual(["post 2"]);
    expect(machine.steps.get(2)).toMatchObject({ ended: 2, failedBranches: 1 });
    expect(stances(machine).slice(5)).toEqual(["A[1/0] stopped in prep", "A[1/1] stopped in prep"]);
  });

  it("go on with all that was stopped with them", () => {
    const machine = parted(outer(all(new A(), {})), 2);
    for (const event of [prepared(2, 3), prepared(3, 2), prepared(4), failed(5), failed(7), failed(1)])
      machine.on(event);
    redrive(machine, [5]);
    expect(words(machine.on({ type: "branched", step: 1 }).effects).sort()).toEqual(["prep 5", "prep 6"]);
    expect(stances(machine)).toEqual([
      ...["Outer exec", "All[0] exec", "All[1] stopped in exec"],
      ...["A[0/0] exec", "A[0/1] prep", "A[0/2] prep"],
      ...["A[1/0] stopped in prep", "A[1/1] stopped in prep"],
    ]);
  });

  it("that wait still wait with those that are chosen later", () => {
    const machine = parted(each(new A()), 4);
    for (const step of [2, 3, 4]) machine.on(failed(step));
    machine.on(CANCELED);
    redrive(machine, [4]);
    machine.on(CANCELED);
    redrive(machine, [2]);
    expect(machine.steps.get(1)).toMatchObject({ waiting: [0, 2], ended: 1, failedBranches: 1 });
  });
});

// Random trees of flows, batch flows and nodes, walked at random, with random failures.

interface Tree {
  kind: "node" | "batch" | "flow" | "batch-flow" | "parallel-batch-flow";
  inside: Tree[];
  options: BatchFlowOptions;
}

const policies: fc.Arbitrary<BatchFlowOptions> = fc.constantFrom<BatchFlowOptions>(
  {},
  COLLECT,
  COLLECT,
  { tolerate: { count: 0 } },
  { tolerate: { count: 1 } },
  { tolerate: { count: 2 } },
  { tolerate: { percentage: 50 } },
);
const widths = fc.constantFrom<BatchFlowOptions>({}, { concurrency: 1 }, { concurrency: 2 }, { concurrency: 3 });
const branching = fc.tuple(policies, widths).map(([policy, width]) => ({ ...policy, ...width }));

const { root } = fc.letrec<{ root: Tree; tree: Tree; flow: Tree; branches: Tree; leaf: Tree }>((tie) => ({
  leaf: fc.record({
    kind: fc.constantFrom("node", "batch"),
    inside: fc.constant<Tree[]>([]),
    options: fc.constant({}),
  }),
  flow: fc.record({
    kind: fc.constant("flow"),
    inside: fc.array(tie("tree"), { minLength: 1, maxLength: 3, size: "max" }),
    options: fc.constant({}),
  }),
  branches: fc.record({
    kind: fc.constantFrom("batch-flow", "parallel-batch-flow", "parallel-batch-flow"),
    inside: fc.array(tie("tree"), { minLength: 1, maxLength: 3, size: "max" }),
    options: branching,
  }),
  tree: fc.oneof(
    { maxDepth: 3, depthSize: "max" },
    { weight: 2, arbitrary: tie("leaf") },
    { weight: 1, arbitrary: tie("flow") },
    { weight: 4, arbitrary: tie("branches") },
  ),
  root: fc.oneof({ weight: 1, arbitrary: tie("flow") }, { weight: 4, arbitrary: tie("branches") }),
}));

function build({ kind, inside, options }: Tree): BaseNode {
  if (kind === "node") return new Node();
  if (kind === "batch") return new BatchNode();
  const nodes = inside.map(build);
  for (const [at, next] of nodes.slice(1).entries()) nodes[at]?.next(next);
  const start = nodes[0] as BaseNode;
  if (kind === "flow") return new Flow(start, options);
  return kind === "batch-flow" ? new BatchFlow(start, options) : new ParallelBatchFlow(start, options);
}

interface Happening {
  choice: number;
  size: number;
  fails: boolean;
}

const happenings = (most: number) =>
  fc.array(
    fc.record({
      choice: fc.nat(1000),
      size: fc.constantFrom(0, 1, 2, 3, 3, 5),
      fails: fc.constantFrom(true, false, false, false),
    }),
    { maxLength: most, size: "max" },
  );

/** A run with everything in hand that is to be done for it: it does only what it was told to do. */
class Walked {
  readonly machine: Machine;
  due: Effect[] = [];

  constructor(graph: Graph) {
    this.machine = new Machine(graph);
    this.#on(STARTED);
  }

  get isOver(): boolean {
    return isFinished(this.machine.run.status);
  }

  happen({ choice, size, fails }: Happening): void {
    const inExec = this.machine.open.filter((step) => step.phase === "exec" && this.#isLeaf(step));
    check(this.due.length + inExec.length > 0, "a run that goes on has something to do");
    const at = choice % (this.due.length + inExec.length);
    const [effect] = this.due.splice(at, 1);
    if (!effect) {
      const { id } = inExec[at - this.due.length] as Step;
      this.#on(fails ? failed(id) : executed(id));
    } else if (effect.type === "branch") this.#on({ type: "branched", step: effect.step });
    else if (this.machine.steps.get(effect.step)?.phase !== effect.hook) return;
    else if (fails) this.#on(failed(effect.step));
    else this.#on(effect.hook === "post" ? posted(effect.step) : prepared(effect.step, size));
    this.checkOpen();
  }

  /** The object is built anew from its rows. */
  redrive(chosen: number[] | null = null): void {
    redrive(this.machine, chosen);
    this.due = this.machine.pending;
    this.checkOpen();
  }

  /** Each batch flow under way counts its branches as they are. */
  checkOpen(): void {
    const { machine } = this;
    for (const flow of machine.open) {
      if (!machine.graph.kind(flow.node).endsWith("batch-flow") || flow.phase === "prep") continue;
      const { id, branches, begun, ended, failedBranches, waiting } = flow;
      const ends = machine.ends.filter(({ step }) => step === id);
      const underWay = machine.open.filter(({ parent }) => parent === id).map(indexOf);
      check(
        begun - ended - waiting.length === underWay.length,
        "branches that have begun are under way, have ended, or wait",
      );
      check(ended === ends.length && ended <= begun && begun <= branches, "branches end once they have begun");
      check(
        failedBranches === ends.filter(({ error }) => error).length,
        "failed branches are those that ended with an error",
      );
      const known = [...underWay, ...waiting, ...ends.map(({ index }) => index)].sort((a, b) => a - b);
      check(JSON.stringify(known) === JSON.stringify([...Array(begun).keys()]), "each branch is in one state");
      check(underWay.length <= machine.graph.width(flow.node), "no more branches are under way than the flow allows");
    }
  }

  #on(event: Event): void {
    this.due.push(...this.machine.on(event).effects);
  }

  #isLeaf({ node }: Step): boolean {
    return this.machine.graph.startOf(node) === undefined;
  }
}

/** The step that decides about a stopped one: the first around it that was not stopped itself. */
function deciding({ steps }: Machine, step: Step): Step {
  let found = step;
  while (found.phase === "stopped") found = steps.get(found.parent as number) as Step;
  return found;
}

function checkRedriven({ machine }: Walked): void {
  const waiting = new Set(waitingIn(machine).map(({ id }) => id));
  for (const step of machine.steps.values()) {
    if (isOpen(step)) {
      check(step.stoppedIn === null && step.failedBranches === 0, "what is under way has failed nowhere");
      const isAllEnded = step.branches > 0 && step.ended === step.branches;
      check(step.phase !== "post" || step.branches === 0 || isAllEnded, "a post comes after all branches");
    }
    if (step.phase !== "stopped") continue;
    check(
      waiting.has(step.id) === isOpen(deciding(machine, step)),
      "what was stopped under an open flow waits, and nothing else",
    );
    check(!waiting.has(step.id) || step.failedBranches === 0, "what waits has failed nowhere");
  }
  const kept = new Set([...machine.open, ...waitingIn(machine)].map(({ id }) => id));
  check(
    !machine.ends.some(({ step, error }) => error && kept.has(step)),
    "ends with errors are forgotten of what goes on",
  );
}

describe("whatever has failed, wherever", () => {
  test.prop([root, fc.array(happenings(60), { minLength: 1, maxLength: 3 }), fc.nat(1_000_000)], { numRuns: 500 })(
    "a redriven run takes up all of it, and ends as one in which nothing fails",
    (tree, rounds, seed) => {
      const run = new Walked(new Graph(build(tree)));
      const { machine } = run;
      for (const events of rounds) {
        for (const event of events) if (!run.isOver) run.happen(event);
        if (machine.run.status === "completed") return;
        machine.on(CANCELED);
        run.redrive();
        checkRedriven(run);
      }
      const seen = new Set([...machine.steps.values()].filter(({ phase }) => phase === "done").map(({ id }) => id));
      for (let turn = seed; !run.isOver; turn = (turn * 7919 + 104_729) % 1_000_003) {
        run.happen({ choice: turn, size: turn % 3, fails: false });
      }
      check(machine.run.status === "completed" && machine.open.length === 0, "a run without failures completes");
      for (const { step, error } of machine.ends)
        check(!error || isSeen(machine, seen, step), "no branch has failed anew");
      for (const step of machine.steps.values()) {
        check(step.phase !== "stopped" || seen.has(deciding(machine, step).id), "nothing is left behind");
      }
    },
  );

  test.prop([root, happenings(60)], { numRuns: 200 })(
    "all that was stopped is as good as no choice",
    (tree, events) => {
      const runs = [false, true].map((isAll) => {
        const run = new Walked(new Graph(build(tree)));
        for (const event of events) if (!run.isOver) run.happen(event);
        run.machine.on(CANCELED);
        const stopped = [...run.machine.steps.values()].filter(({ phase }) => phase === "stopped").map(({ id }) => id);
        return { made: redrive(run.machine, isAll ? stopped : null), machine: run.machine };
      });
      expect(runs[1]?.made).toEqual(runs[0]?.made);
      expect(runs[1]?.machine.steps).toEqual(runs[0]?.machine.steps);
    },
  );

  test.prop([root, fc.array(fc.tuple(happenings(60), fc.func(fc.boolean())), { maxLength: 3 }), fc.nat(1_000_000)], {
    numRuns: 300,
  })(
    "choices one after the other leave every branch in one state, and what is left to a redrive of all",
    (tree, rounds, seed) => {
      const run = new Walked(new Graph(build(tree)));
      const { machine } = run;
      for (const [events, isChosen] of rounds) {
        for (const event of events) if (!run.isOver) run.happen(event);
        if (machine.run.status === "completed") return;
        machine.on(CANCELED);
        run.redrive([...machine.steps.keys()].filter((id) => isChosen(id)));
      }
      machine.on(CANCELED);
      run.redrive();
      checkRedriven(run);
      for (let turn = seed; !run.isOver; turn = (turn * 7919 + 104_729) % 1_000_003) {
        run.happen({ choice: turn, size: turn % 3, fails: false });
      }
      check(machine.run.status === "completed" && machine.open.length === 0, "a run without failures completes");
    },
  );

  test.prop([root, happenings(60)], { numRuns: 200 })("a redrive changes nothing the second time", (tree, events) => {
    const run = new Walked(new Graph(build(tree)));
    for (const event of events) if (!run.isOver) run.happen(event);
    run.machine.on(CANCELED);
    run.redrive();
    const steps = new Map(run.machine.steps);
    run.machine.on(CANCELED);
    expect(redrive(run.machine).forgotten).toEqual([]);
    expect(run.machine.steps).toEqual(steps);
  });
});

/** Whether a step, or what it is a part of, was done before the last redrive: what it ended with then stays. */
function isSeen(machine: Machine, seen: ReadonlySet<number>, id: number): boolean {
  for (let step = machine.steps.get(id); step; step = machine.steps.get(step.parent ?? 0)) {
    if (seen.has(step.id)) return true;
  }
  return false;
}
