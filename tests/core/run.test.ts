import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Graph } from "../../src/core/graph.ts";
import { type Event, isFinished } from "../../src/core/run.ts";
import { type BaseNode, BatchNode, Flow, Node } from "../../src/index.ts";
import { ERROR, Machine, words } from "./machine.ts";

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

const STARTED: Event = { type: "started" };
const prepared = (step: number, isEmpty = false): Event => ({ type: "prepared", step, isEmpty });
const executed = (step: number): Event => ({ type: "executed", step });
const posted = (step: number, action = ""): Event => ({ type: "posted", step, action });
const BROKE: Event = { type: "broke", error: ERROR };
const CANCELED: Event = { type: "canceled" };
const CHANGED: Event = { type: "graph-changed", error: ERROR };
const RESTORED: Event = { type: "graph-restored" };

/** Each event's effects and where it leads. */
type Arrow = [event: Event, effects: string[], state: string];

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
  [prepared(2), ["execute 2"], S3],
];
const TO_S7: Arrow[] = [
  ...TO_S3,
  [executed(2), ["post 2"], S4],
  [posted(2), ["prep 3"], S5],
  [prepared(3), ["execute 3"], S6],
  [executed(3), ["post 3"], S7],
];

function follow(machine: Machine, arrows: Arrow[]): Machine {
  for (const [event, effects, state] of arrows) {
    const made = machine.on(event);
    expect([JSON.stringify(event), words(made.effects), String(machine)]).toEqual([
      JSON.stringify(event),
      effects,
      state,
    ]);
  }
  return machine;
}

describe("a run moves", () => {
  it("S0 queued → started → … → completed: every phase of every step in turn", () => {
    const machine = loop();
    expect(String(machine)).toBe(S0);
    follow(machine, [...TO_S7, [posted(3), ["post 1"], S8], [posted(1), ["finish"], "completed"]]);
    expect(machine.run).toMatchObject({ action: null, error: null, startedMs: 1000, finishedMs: 1008, lastStep: 3 });
  });

  it("S5 B preparing nothing → S7 B in post: an empty batch has no exec", () => {
    follow(loop(), [...TO_S7.slice(0, 5), [prepared(3, true), ["post 3"], S7]]);
  });

  it("S7 B posted again → S2 A in prep, as a new step: loops", () => {
    const machine = follow(loop(), [...TO_S7, [posted(3, "again"), ["prep 4"], S2], [prepared(4), ["execute 4"], S3]]);
    expect(machine.steps.get(4)).toMatchObject({ node: "A", parent: 1, branch: "" });
  });

  it("S7 B posted a declared end → S8: no warning; an undeclared one is recorded", () => {
    const declared = follow(loop(), [
      ...TO_S7,
      [posted(3, "enough"), ["post 1"], S8],
      [posted(1, "enough"), ["finish"], "completed"],
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
      [prepared(3), ["execute 3"], "running: Outer exec, Inner exec, A exec"],
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
      [prepared(1), ["execute 1"], "running: A exec"],
      [executed(1), ["post 1"], "running: A post"],
      [posted(1, "default"), ["finish"], "completed"],
    ]);
  });

  it.each<[string, Event, string]>([
    ["broke", BROKE, "failed"],
    ["canceled", CANCELED, "canceled"],
  ])("from anywhere → %s → finished", (_, event, state) => {
    expect(words(loop().on(event).effects)).toEqual(["finish"]);
    const machine = follow(loop(), TO_S3);
    expect(words(machine.on(event).effects)).toEqual(["finish"]);
    expect(machine.run).toMatchObject({ status: state, finishedMs: 1003 });
  });

  it("S3 A in exec → graph changed → paused, with everything as it was → graph restored → S3", () => {
    const machine = follow(loop(), [...TO_S3, [CHANGED, [], "paused: Flow exec, A exec"]]);
    expect(machine.run.error).toEqual(ERROR);
    expect(machine.pending).toEqual([]);
    follow(machine, [[RESTORED, [], S3]]);
    expect(machine.run.error).toBeNull();
    expect(words(machine.pending)).toEqual(["execute 2"]);
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
    for (const event of [STARTED, prepared(1), executed(2), posted(3), BROKE, CANCELED, CHANGED, RESTORED]) {
      expect(machine.on(event)).toEqual({ run, steps: [], effects: [] });
    }
  });
});

describe("whatever happens to whatever graph", () => {
  const ACTIONS = ["", "default", "left", "right", "away"];
  const wires = fc.array(fc.tuple(fc.nat(7), fc.constantFrom("default", "left", "right"), fc.nat(7)), {
    maxLength: 16,
  });
  const kinds = fc.array(fc.constantFrom("node", "batch", "flow"), { minLength: 8, maxLength: 8 });

  /** Eight nodes, some of them flows over others, wired at random. */
  function graphOf(kindOf: string[], links: [number, string, number][]): Graph {
    const nodes: BaseNode[] = [];
    for (const [index, kind] of kindOf.entries()) {
      const start = nodes[Math.floor(index / 2)];
      nodes.push(kind === "flow" && start ? new Flow(start) : kind === "batch" ? new B() : new A());
    }
    // A flow never leads into a node that comes before it, or walks would have no end to their depth.
    for (const [from, action, to] of links) {
      const [one, other] = [nodes[from] as BaseNode, nodes[to] as BaseNode];
      if (!one["_successors"].has(action) && !(other instanceof Flow)) one.on(action, other);
    }
    return new Graph(new Flow(nodes.at(-1) as BaseNode));
  }

  const events = fc.array(
    fc.oneof(
      {
        weight: 12,
        arbitrary: fc.record({ what: fc.constant("due"), action: fc.constantFrom(...ACTIONS), step: fc.nat(0) }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          what: fc.constantFrom("prepared", "empty", "posted", "started"),
          action: fc.constantFrom(...ACTIONS),
          step: fc.nat(12),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          what: fc.constantFrom("graph-changed", "graph-restored", "broke", "canceled"),
          action: fc.constant(""),
          step: fc.constant(0),
        }),
      },
    ),
    { maxLength: 60 },
  );

  function eventOf({ what, action, step }: { what: string; action: string; step: number }, machine: Machine): Event {
    if (what === "due") return machine.open.length === 0 ? STARTED : machine.due(action);
    if (what === "prepared" || what === "empty") return prepared(step, what === "empty");
    if (what === "posted") return posted(step, action);
    if (what === "broke") return BROKE;
    if (what === "graph-changed") return CHANGED;
    return { type: what } as Event;
  }

  test.prop([kinds, wires, events], { numRuns: 300 })(
    "the open steps are one chain, what is pending is found again, and the end is the end",
    (kindOf, links, sequence) => {
      const machine = new Machine(graphOf(kindOf, links));
      for (const told of sequence) {
        const before = machine.run;
        const event = eventOf(told, machine);
        const { effects, steps } = machine.on(event);
        expectOneChain(machine);
        if (isFinished(before.status)) expect([machine.run, steps, effects]).toEqual([before, [], []]);
        if (steps.length > 0 && machine.run.status === "running") expect(machine.pending).toEqual(effects);
        expect(machine.pending).toHaveLength(machine.run.status === "running" ? 1 : 0);
      }
    },
  );

  /** Every open step is part of the one before it, which is a flow in exec; only the last is at work. */
  function expectOneChain({ open, run, steps, graph }: Machine): void {
    expect([...steps.keys()]).toEqual(Array.from({ length: run.lastStep }, (_, index) => index + 1));
    for (const [index, step] of open.entries()) {
      const above = open[index - 1];
      expect(step.parent).toBe(above?.id ?? null);
      if (above) expect([above.phase, graph.kind(above.node)]).toEqual(["exec", "flow"]);
    }
    if (run.status === "completed") expect(open).toEqual([]);
    if (run.status === "running") expect(open.length).toBeGreaterThan(0);
  }
});
