import { contains, decode, encode, isApart } from "../core/codec.ts";
import type { Graph } from "../core/graph.ts";
import type { BaseNode } from "../core/node.ts";
import type { StepRow } from "./store.ts";
import { checkLength, ROW_LIMIT } from "./text.ts";

/** One open step's node, as its hooks see it, and what its prep returned. */
interface Frame {
  node: BaseNode;
  prepRes: unknown;
  /** Whether `prepRes` is stored with `shared`, and not read back from the step's pages. */
  isInGraph: boolean;
}

interface LiveGraph {
  shared: unknown;
  prep: { [step: number]: unknown };
}

/** Own fields of a node that are the flow's wiring and not its author's. */
const WIRING = new Set(["_successors", "_terminals", "_options", "start"]);

/**
 * The live `shared` of a run and the prep results of its open steps. They are stored as one graph, because flows rely on what
 * is an alias of what: post may change `shared.list` through the prep result that is the same list.
 */
export class Live {
  shared: unknown;
  readonly #graph: Graph;
  readonly #frames = new Map<number, Frame>();
  readonly #stored: Map<number, unknown>;

  constructor(graph: Graph, text: string) {
    const { shared, prep } = decode(text) as LiveGraph;
    this.shared = shared;
    this.#graph = graph;
    this.#stored = new Map(Object.entries(prep).map(([step, prepRes]) => [Number(step), prepRes]));
  }

  /** The graph of a run that begins with `input` as its shared. */
  static begin(input: unknown): string {
    return encode({ shared: input, prep: {} } satisfies LiveGraph, "input");
  }

  /** The step's node: a clone of its own, with the params of the flow around it and the fields that prep left on it. */
  node(step: StepRow, parentOf: (step: StepRow) => StepRow | undefined): BaseNode {
    const known = this.#frames.get(step.id);
    if (known) return known.node;
    const node = this.#graph.node(step.node).clone();
    const parent = parentOf(step);
    if (parent) node.setParams(this.node(parent, parentOf)["_params"]);
    if (step.fields !== null) Object.assign(node, decode(step.fields));
    const isInGraph = this.#stored.has(step.id);
    this.#frames.set(step.id, { node, prepRes: this.#stored.get(step.id), isInGraph });
    return node;
  }

  /** Sets fields on the step's node, if it is here; one that is made later gets them with all the others. */
  assign(step: number, fields: object): void {
    const frame = this.#frames.get(step);
    if (frame) Object.assign(frame.node, fields);
  }

  /** Keeps what prep returned until post. `fromPages`: the step's pages can give it back. */
  keep(step: number, prepRes: unknown, fromPages: boolean): void {
    const frame = this.#frames.get(step) as Frame;
    const isInGraph = !(fromPages && isApart(prepRes, this.shared));
    this.#frames.set(step, { ...frame, prepRes, isInGraph });
  }

  /** What prep of the step returned; `fromPages` reads it back after the object was away. */
  prepRes(step: number, fromPages: () => unknown): unknown {
    const frame = this.#frames.get(step) as Frame;
    if (!frame.isInGraph && frame.prepRes === undefined) frame.prepRes = fromPages();
    return frame.prepRes;
  }

  encode(except?: number): string {
    const prep: LiveGraph["prep"] = {};
    for (const [step, prepRes] of this.#openPreps()) if (step !== except) prep[step] = prepRes;
    return checkLength(encode({ shared: this.shared, prep } satisfies LiveGraph, ""), "shared");
  }

  close(step: number): void {
    this.#frames.delete(step);
    this.#stored.delete(step);
  }

  *#openPreps(): Generator<[number, unknown]> {
    for (const entry of this.#stored) if (!this.#frames.has(entry[0])) yield entry;
    for (const [step, frame] of this.#frames) if (frame.isInGraph) yield [step, frame.prepRes];
  }
}

/** A node's own fields as text, field by field; nothing for a field that cannot be stored. */
export function writeFields(node: BaseNode): Map<string, { value: unknown; text: string | undefined }> {
  const own = Object.entries(node).filter(([key]) => !WIRING.has(key));
  return new Map(own.map(([key, value]) => [key, { value, text: textOf(value) }]));
}

/**
 * The fields that prep set or changed, encoded, so that they reach exec wherever it runs; nothing if there are none.
 *
 * Throws for a field that cannot travel: `shared` itself, which exec must not touch, and what cannot be stored.
 */
export function fieldsLeft(node: BaseNode, before: ReturnType<typeof writeFields>, shared: unknown): string | null {
  const left: { [key: string]: unknown } = {};
  for (const [key, value, text] of changedFields(node, before)) {
    refuseShared(node, key, value, shared);
    if (text === undefined) encode(value, `this.${key} of ${node.constructor.name}, which its prep kept for exec`);
    left[key] = value;
  }
  const params = node["_params"];
  if (Object.keys(params).length > 0) left._params = params;
  if (Object.keys(left).length === 0) return null;
  const name = `the fields that prep of ${node.constructor.name} set`;
  return checkLength(encode(left, name), name, ROW_LIMIT);
}

/** The fields that have another value than before, or were changed in place. */
export function* changedFields(
  node: BaseNode,
  before: ReturnType<typeof writeFields>,
): Generator<[key: string, value: unknown, text: string | undefined]> {
  for (const [key, value] of Object.entries(node)) {
    if (WIRING.has(key)) continue;
    const was = before.get(key);
    const text = textOf(value);
    const isSame = text === undefined ? was?.value === value : was?.text === text;
    if (!isSame) yield [key, value, text];
  }
}

function refuseShared(node: BaseNode, key: string, value: unknown, shared: unknown): void {
  if (typeof shared !== "object" || shared === null || !contains(value, shared)) return;
  throw new TypeError(
    `Expected ${node.constructor.name} to keep shared to prep and post, got it as \`this.${key}\`: exec runs apart from the ` +
      "run's shared store. Return what exec needs from prep instead.",
  );
}

function textOf(value: unknown): string | undefined {
  try {
    return encode(value, "");
  } catch {
    return undefined;
  }
}
