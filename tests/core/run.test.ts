import { describe, expect, it } from "vitest";
import { Graph } from "../../src/core/graph.ts";
import type { Event } from "../../src/core/run.ts";
import { BatchFlow, BatchNode, Flow, Node } from "../../src/index.ts";
import {
  type Arrow,
  BROKE,
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
class B extends BatchNode {}

/** Flow: A → B, and from B by "again" back to A. */
function loop(): Machine {
  const a = new A();
  a.next(new B()).on("again", a).end("enough");
  return new Machine(new Graph(new Flow(a)));
}

/** Outer: Inner (A) → by "left" A#2, by "right" B. */
function nested(): Machine {
  const inner = new Flow(new A(), { name: "Inner" });
  inner.on("left", new A()).on("right", new B());
  return new Machine(new Graph(new Flow(inner, { name: "Outer" })));
}

const S0 = "queued";
const S1 = "running: Flow prep";
const S2 = "running: Flow exec, A prep";
const S3 = "running: Flow exec, A exec";
const S4 = "running: Flow exec, A post";
const S5 = "running: Flow exec, B prep";
const S6 = "running: Flow exec, B exec";
const S7 = "running: Flow exec, B post";
const S8 = "running: Flow post";

const TO_S3: Arrow[] = [
  [STARTED, ["prep 1"], S1],
  [prepared(1), ["prep 2"], S2],
  [prepared(2), [], S3],
];
const TO_S7: Arrow[] = [
  ...TO_S3,
  [executed(2), ["post 2"], S4],
  [posted(2), ["prep 3"], S5],
  [prepared(3), [], S6],
  [executed(3), ["post 3"], S7],
];

describe("a run moves", () => {
  it("S0 queued → started → … → completed: every phase of every step in turn", () => {
    const machine = loop();
    expect(String(machine)).toBe(S0);
    follow(machine, [...TO_S7, [posted(3), ["post 1"], S8], [posted(1), [], "completed"]]);
    expect(machine.run).toMatchObject({ action: null, error: null, startedMs: 1000, finishedMs: 1008, lastStep: 3 });
  });

  it("S5 B preparing nothing → S7 B in post: an empty batch has no exec", () => {
    follow(loop(), [...TO_S7.slice(0, 5), [prepared(3, 0), ["post 3"], S7]]);
  });

  it("S7 B posted again → S2 A in prep, as a new step: loops", () => {
    const machine = follow(loop(), [...TO_S7, [posted(3, "again"), ["prep 4"], S2], [prepared(4), [], S3]]);
    expect(machine.steps.get(4)).toMatchObject({ node: "A", parent: 1, branch: "" });
  });

  it("S7 B posted a declared end → S8: no warning; an undeclared one is recorded", () => {
    const declared = follow(loop(), [
      ...TO_S7,
      [posted(3, "enough"), ["post 1"], S8],
      [posted(1, "enough"), [], "completed"],
    ]);
    expect(declared.run).toMatchObject({ action: "enough", warnings: [] });
    const undeclared = follow(loop(), [...TO_S7, [posted(3, "typo"), ["post 1"], S8]]);
    expect(undeclared.run.warnings).toEqual(["Flow ends at B: 'typo' not found in [again]"]);
  });

  it.each<[string, string, string]>([
    ["left", "running: Outer exec, A#2 prep", "left"],
    ["right", "running: Outer exec, B prep", "right"],
  ])("a nested flow's last action %s picks the outer branch", (action, state) => {
    const machine = follow(nested(), [
      [STARTED, ["prep 1"], "running: Outer prep"],
      [prepared(1), ["prep 2"], "running: Outer exec, Inner prep"],
      [prepared(2), ["prep 3"], "running: Outer exec, Inner exec, A prep"],
      [prepared(3), [], "running: Outer exec, Inner exec, A exec"],
      [executed(3), ["post 3"], "running: Outer exec, Inner exec, A post"],
      [posted(3, action), ["post 2"], "running: Outer exec, Inner post"],
    ]);
    expect(machine.steps.get(2)?.lastAction).toBe(action);
    follow(machine, [[posted(2, action), ["prep 4"], state]]);
  });

  it("a node that stands for the whole flow runs alone: its successors are not its run's", () => {
    const alone = new A();
    alone.next(new B());
    follow(new Machine(new Graph(alone)), [
      [STARTED, ["prep 1"], "running: A prep"],
      [prepared(1), [], "running: A exec"],
      [executed(1), ["post 1"], "running: A post"],
      [posted(1, "default"), [], "completed"],
    ]);
  });

  it.each<[string, Event, string]>([
    ["broke", BROKE, "failed"],
    ["canceled", CANCELED, "canceled"],
  ])("from anywhere → %s → finished", (_, event, state) => {
    expect(loop().on(event).effects).toEqual([]);
    const machine = follow(loop(), TO_S3);
    expect(machine.on(event).effects).toEqual([]);
    expect(machine.run).toMatchObject({ status: state, finishedMs: 1003 });
  });

  it("S4 A in post → graph changed → paused, with everything as it was → graph restored → S4", () => {
    const machine = follow(loop(), [...TO_S7.slice(0, 4), [CHANGED, [], "paused: Flow exec, A post"]]);
    expect(machine.run.error).toEqual(ERROR);
    expect(machine.pending).toEqual([]);
    follow(machine, [[RESTORED, [], S4]]);
    expect(machine.run.error).toBeNull();
    expect(words(machine.pending)).toEqual(["post 2"]);
  });

  it("S0 queued → graph changed → paused → graph restored → S0: a run that had not begun still does", () => {
    follow(loop(), [
      [CHANGED, [], "paused"],
      [RESTORED, [], S0],
      [STARTED, ["prep 1"], S1],
    ]);
  });

  it("keeps at most a hundred warnings", () => {
    const [a, b] = [new A(), new B()];
    const inner = new Flow(a, { name: "Inner" });
    a.next(b);
    inner.on("typo", inner);
    const machine = new Machine(new Graph(new Flow(inner)));
    machine.on(STARTED);
    for (let turn = 0; turn < 2000; turn++) machine.on(machine.due("typo"));
    expect(machine.run.warnings).toHaveLength(100);
  });
});

describe("a walk of more steps than its flow allows", () => {
  /** Flow of at most three steps: A → A → … */
  function bounded(): Machine {
    const a = new A();
    a.on("again", a);
    return new Machine(new Graph(new Flow(a, { maxSteps: 3, name: "Bounded" })));
  }

  function walked(machine: Machine, steps: number): Machine {
    for (const event of [STARTED, prepared(1)]) machine.on(event);
    for (let step = 2; step < 2 + steps; step++) {
      for (const event of [prepared(step), executed(step), posted(step, "again")]) machine.on(event);
    }
    return machine;
  }

  it("fails the run where the next step would begin, naming the flow, the bound and the node", () => {
    const before = walked(bounded(), 2);
    expect(String(before)).toBe("running: Bounded exec, A prep");
    expect(before.steps.get(4)).toMatchObject({ visit: 3 });
    const machine = walked(bounded(), 3);
    expect(machine.run).toMatchObject({ status: "failed", lastStep: 4, finishedMs: 1010 });
    expect(machine.run.error).toEqual({
      name: "Error",
      message: "Expected flow `Bounded` to end within 3 steps (maxSteps), got a 4th: `A`",
      node: "A",
      branch: "",
      index: null,
      attempts: null,
    });
    expect(machine.pending).toEqual([]);
  });

  it("may end at its last step", () => {
    const machine = walked(bounded(), 2);
    for (const event of [prepared(4), executed(4), posted(4, "end"), posted(1)]) machine.on(event);
    expect(machine.run).toMatchObject({ status: "completed", error: null });
  });

  it("counts a nested flow as one step, and the steps inside it on their own", () => {
    const [a, b] = [new A(), new B()];
    a.next(b);
    const outer = new Flow(new Flow(a, { maxSteps: 2, name: "Inner" }), { maxSteps: 1, name: "Outer" });
    const machine = new Machine(new Graph(outer));
    machine.on(STARTED);
    while (machine.run.status === "running") machine.on(machine.due());
    expect(machine.run).toMatchObject({ status: "completed", error: null });
    expect([...machine.steps.values()].map(({ node, visit }) => [node, visit])).toEqual([
      ["Outer", 1],
      ["Inner", 1],
      ["A", 1],
      ["B", 2],
    ]);
  });
});

describe("a flow knows the step whose results its walk ended with", () => {
  function ended(machine: Machine): (number | null)[] {
    machine.on(STARTED);
    while (machine.run.status === "running") machine.on(machine.due());
    return [...machine.steps.values()].map(({ end }) => end);
  }

  it("which is the last of its walk", () => {
    expect(ended(loop())).toEqual([3, null, null]);
  });

  it("through nested flows as well", () => {
    const a = new A();
    a.next(new B());
    const inner = new Flow(new Flow(a, { name: "Inmost" }), { name: "Inner" });
    expect(ended(new Machine(new Graph(new Flow(inner, { name: "Outer" }))))).toEqual([5, 5, 5, null, null]);
  });

  it("and none where the walk ended with a batch flow, which has no results", () => {
    const each = new BatchFlow(new A(), { name: "Each" });
    expect(ended(new Machine(new Graph(new Flow(each, { name: "Outer" }))))).toEqual([null, null, null]);
  });
});

describe("an event that comes too late changes nothing", () => {
  it.each<[string, Event[]]>([
    [S0, []],
    [S1, [STARTED]],
    [S3, TO_S3.map(([event]) => event)],
    [S7, TO_S7.map(([event]) => event)],
  ])("in %s", (state, before) => {
    const events = [STARTED, RESTORED, ...[1, 2, 3, 9].flatMap((id) => [prepared(id), executed(id), posted(id)])];
    const reached = () => {
      const machine = loop();
      for (const event of before) machine.on(event);
      return machine;
    };
    const unmoved = events.filter((event) => {
      const machine = reached();
      const { run } = machine;
      const made = machine.on(event);
      return made.run === run && made.steps.length === 0 && made.effects.length === 0 && String(machine) === state;
    });
    // Of all these events exactly one is due; `executed` of a flow, whose exec is the walk inside it, is never sent.
    const isDue = (event: Event) =>
      JSON.stringify(event) === JSON.stringify(before.length === 0 ? STARTED : reached().due());
    const isOfFlow = (event: Event) => event.type === "executed" && event.step === 1;
    expect(
      events.filter((event) => !unmoved.includes(event) && !isOfFlow(event)).map((event) => JSON.stringify(event)),
    ).toEqual(events.filter(isDue).map((event) => JSON.stringify(event)));
  });

  it.each([
    ["completed", [...TO_S7.map(([event]) => event), posted(3), posted(1)]],
    ["failed", [STARTED, BROKE]],
    ["canceled", [STARTED, CANCELED]],
  ])("once the run is %s", (status, before) => {
    const machine = loop();
    for (const event of before) machine.on(event);
    expect(machine.run.status).toBe(status);
    const { run } = machine;
    const ofSteps = [prepared(1), executed(2), posted(3), failed(3)];
    for (const event of [STARTED, ...ofSteps, BROKE, CANCELED, PAUSED, RESUMED, CHANGED, RESTORED]) {
      expect(machine.on(event)).toEqual({ run, steps: [], ends: [], effects: [] });
    }
  });
});
