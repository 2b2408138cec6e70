import fc from "fast-check";
import type { Kill } from "./kills.ts";
import {
  DEEDS,
  type ExecSpec,
  type FailureSpec,
  type FlowSpec,
  type Items,
  LATE_DEEDS,
  type LeafSpec,
  type NodeSpec,
  type Program,
  type Way,
  type Write,
} from "./program.ts";

/** How many flows may be in each other. */
const DEEPEST = 3;

/** One of them; the first is what it shrinks to. */
function mixed<T>(...kinds: (readonly [weight: number, arbitrary: fc.Arbitrary<T>])[]): fc.Arbitrary<T> {
  return fc.oneof({ withCrossShrink: true }, ...kinds.map(([weight, arbitrary]) => ({ weight, arbitrary })));
}

function chosen<const T>(...kinds: (readonly [weight: number, value: T])[]): fc.Arbitrary<T> {
  return mixed(...kinds.map(([weight, value]) => [weight, fc.constant(value)] as const));
}

/** As `fc.record`, but its objects print as they would be written. */
const plain = { noNullPrototype: true } as const;

function writes(deed: fc.Arbitrary<Write["do"]>): fc.Arbitrary<Write[]> {
  const fields = { do: deed, key: fc.constantFrom("a" as const, "b" as const), value: fc.nat(9) };
  return fc.array(fc.record(fields, { ...plain, requiredKeys: ["do"] }), { maxLength: 4 });
}

const deed = fc.constantFrom(...DEEDS);
const lateDeed = mixed([2, deed], [1, fc.constantFrom(...LATE_DEEDS)]);

const items: fc.Arbitrary<Items> = fc.record(
  {
    of: fc.constantFrom(
      "fresh",
      "list",
      "numbers",
      "kept",
      "own",
      "generator",
      "counting",
      "late",
      "set",
      "values",
      "nothing",
    ),
    size: mixed([1, fc.constant(0)], [5, fc.integer({ min: 1, max: 3 })]),
  },
  plain,
);

const way = chosen<Way>([3, "on"], [2, "back"], [1, "past"], [1, "end"], [1, "nowhere"]);

const hooked = (way: fc.Arbitrary<Way>) => ({
  prep: writes(deed),
  post: writes(lateDeed),
  items,
  goes: fc.array(way, { minLength: 1, maxLength: 3 }),
  back: fc.nat(2),
  width: fc.integer({ min: 1, max: 3 }),
});

const exec: fc.Arbitrary<ExecSpec> = fc.record(
  {
    gives: fc.constantFrom("text", "map", "date", "object", "nothing"),
    pauses: fc.nat(2),
    flaky: fc.nat(2),
    fallsBack: fc.constant(true),
    counts: fc.constant(true),
    home: chosen<ExecSpec["home"]>([6, undefined], [1, "queue"]),
    chunk: fc.integer({ min: 1, max: 3 }),
  },
  { ...plain, requiredKeys: [] },
);

const leaf: fc.Arbitrary<LeafSpec> = fc.record(
  { kind: fc.constantFrom("node", "batch", "parallel-batch"), ...hooked(way), exec },
  { ...plain, requiredKeys: ["kind"] },
);

function flow(depth: number): fc.Arbitrary<FlowSpec> {
  return fc.record(
    {
      kind: chosen<FlowSpec["kind"]>([1, "flow"], [1, "batch-flow"], [2, "parallel-batch-flow"]),
      inner: fc.array(nodeBelow(depth), { minLength: 1, maxLength: depth === 1 ? 4 : 2 }),
      ...hooked(mixed([1, fc.constant<Way>("last")], [1, way])),
    },
    { ...plain, requiredKeys: ["kind", "inner"] },
  );
}

/** A flow, or now and then what it begins with: so a flow that does not matter shrinks away, and what is in it stays. */
function flowOrStart(depth: number): fc.Arbitrary<NodeSpec> {
  const made = fc.tuple(fc.nat(9), flow(depth));
  return made.map(([isFlow, flow]) => (isFlow ? flow : (flow.inner[0] as NodeSpec)));
}

/** A node in so many flows. */
function nodeBelow(depth: number): fc.Arbitrary<NodeSpec> {
  return depth < DEEPEST ? mixed<NodeSpec>([1, leaf], [1, flowOrStart(depth + 1)]) : leaf;
}

const failure: fc.Arbitrary<FailureSpec> = fc.record(
  { node: fc.nat(5), hook: fc.constantFrom("prep", "exec", "fallback", "post") },
  plain,
);

export const programs: fc.Arbitrary<Program> = fc.record(
  {
    root: flowOrStart(1),
    numbers: fc.array(fc.nat(9), { maxLength: 3 }),
    spelling: chosen<Program["spelling"]>([3, undefined], [1, "seed"]),
    failure: mixed<Program["failure"]>([4, fc.constant(undefined)], [1, failure]),
  },
  plain,
);

const kill: fc.Arbitrary<Kill> = fc.record(
  {
    after: fc.nat(9),
    what: chosen<Kill["what"]>([4, "here"], [4, "run"], [1, "executors"]),
    isHeld: fc.constant(true),
    lag: fc.nat(5),
  },
  { ...plain, requiredKeys: ["after", "what"] },
);

/** No more than four: at the fifth loss an item that was in exec at each rightly fails. */
export const schedules: fc.Arbitrary<Kill[]> = fc.array(kill, { maxLength: 4 });
