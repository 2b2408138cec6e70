import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect } from "vitest";
import { Graph } from "../../src/core/graph.ts";
import { BatchFlow, Node, ParallelBatchFlow } from "../../src/index.ts";
import { BROKE, CANCELED, CHANGED, RESTORED } from "./machine.ts";
import { Modeled } from "./run-model.ts";
import { ACTIONS, END, graphs } from "./run-plans.ts";

type Told =
  | { what: "happen"; choice: number; size: number; action: string }
  | { what: "crash" }
  | { what: "late"; step: number; phase: "prep" | "exec" | "post" }
  | { what: "pause" }
  | { what: "end"; by: typeof BROKE | typeof CANCELED };

const sizes = fc.constantFrom(0, 1, 2, 2, 3, 5);
const happening = fc.record({
  what: fc.constant("happen" as const),
  choice: fc.nat(1000),
  size: sizes,
  action: fc.constantFrom(...ACTIONS, ...ACTIONS, END),
});
const told: fc.Arbitrary<Told> = fc.oneof(
  { weight: 40, arbitrary: happening },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("crash" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant("late" as const),
      step: fc.nat(40),
      phase: fc.constantFrom("prep", "exec", "post"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("pause" as const) }) },
);
/** Most runs get to their end by themselves. */
const ends = fc.oneof(
  { weight: 6, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("end" as const), by: fc.constantFrom(BROKE, CANCELED) }) },
);

function tell(run: Modeled, event: Told): void {
  if (event.what === "happen") run.happen(event.choice, event.size, event.action);
  else if (event.what === "crash") run.crash();
  else if (event.what === "late") run.comeLate(event.step, event.phase);
  else if (event.what === "pause") for (const pause of [CHANGED, RESTORED]) run.machine.on(pause);
  else run.machine.on(event.by);
  run.check();
}

/** Lets all walks end at their next post, in an order that is random too. */
function endAll(run: Modeled, seed: number): void {
  for (let turn = seed; !run.isOver; turn = (turn * 7919 + 104_729) % 1_000_003) {
    run.happen(turn, 1, END);
    run.check();
  }
}

describe("whatever happens to whatever flow, in whatever order", () => {
  test.prop([graphs, fc.array(told, { maxLength: 150, size: "max" }), ends, fc.nat(1_000_000)], { numRuns: 400 })(
    "branches begin and end once, batch flows post once after them, and nothing that is to be done is forgotten",
    (graph, events, end, seed) => {
      const run = new Modeled(graph);
      run.check();
      for (const event of events) if (!run.isOver) tell(run, event);
      if (end && !run.isOver) tell(run, end);
      endAll(run, seed);
      expectEnded(run);
    },
  );

  const many = fc.record({
    size: fc.integer({ min: 480, max: 1300 }),
    crashes: fc.array(fc.nat(1500), { maxLength: 3 }),
  });

  test.prop([many, fc.nat(1_000_000)], { numRuns: 5 })(
    "as many branches as take several turns to begin all begin, though others end meanwhile",
    ({ size, crashes }, seed) => {
      const run = new Modeled(new Graph(new ParallelBatchFlow(new BatchFlow(new Node()))));
      run.happen(0, size, "");
      for (let turn = 0; !run.isOver; turn++) {
        if (crashes.includes(turn)) run.crash();
        run.happen(seed + turn * 7919, 1, END);
        if (turn % 50 === 0) run.check();
      }
      expectEnded(run);
      expect(run.branches.get(1)?.ended).toHaveLength(size);
    },
  );
});

function expectEnded({ machine, branches, inExec }: Modeled): void {
  const { run } = machine;
  expect(run.finishedMs).not.toBeNull();
  if (run.status !== "completed") return;
  expect([machine.open, [...inExec], run.error]).toEqual([[], [], null]);
  for (const { size, begun, ended, posts } of branches.values()) {
    expect([begun.length, ended.length, posts]).toEqual([size, size, 1]);
    expect(ended.map(({ index }) => index).sort((a, b) => a - b)).toEqual(Array.from({ length: size }, (_, n) => n));
  }
}
