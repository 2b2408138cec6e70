import { teachStructuredClone } from "../core/clone.ts";
import { contains, decode, encode, isApart } from "../core/codec.ts";
import type { Graph } from "../core/graph.ts";
import { Journal } from "../core/journal.ts";
import type { BaseNode } from "../core/node.ts";
import { rawOf } from "../core/recorder.ts";
import { indexOf } from "../core/run.ts";
import type { StoredGraph } from "./journal-store.ts";
import type { StepRow } from "./step-store.ts";
import { checkLength, ROW_LIMIT } from "./text.ts";

/** One open step's node, as its hooks see it, and what its prep returned. */
interface Frame {
  node: BaseNode;
  prepRes: unknown;
  /** Whether `prepRes` is stored with `shared`, and not read back from the step's items. Not known before it is stored. */
  isInGraph: boolean;
  isStored: boolean;
  /** The fields that prep set. */
  fields: Changed;
  /** The params as the node got them. */
  params: object;
}

interface LiveGraph {
  shared: unknown;
  prep: { [step: number]: unknown };
  /** Of nodes of open steps: the fields that are parts of shared. */
  fields?: { [step: number]: { [key: string]: unknown } };
}

/** Where the steps around a step are found, and a branch's params. */
export interface Surroundings {
  parentOf(step: StepRow): StepRow | undefined;
  /** The params of a batch flow's branch, encoded. */
  paramsOf(step: number, branch: number): string;
  isBatchFlow(step: StepRow): boolean;
}

/** Fields of a node that have another value than before. */
export type Changed = [key: string, value: unknown][];

/** What prep has left for post. */
export interface Prepared {
  prepRes: unknown;
  canReturn: boolean;
  isMany: boolean;
  fields: Changed;
}

/** What hooks wrote, as it is to be stored. */
export interface Written {
  entries: string[];
  /** The whole graph, where that is written anew. */
  snapshot: string | null;
}

/** Own fields of a node that are the flow's wiring and not its author's. Its params always travel with those that are. */
const WIRING = new Set(["_successors", "_terminals", "_options", "start", "_follower", "_waiter", "_params"]);
/** The whole graph is written anew when as much was written since as it had, so that in all at most twice as much is written. */
const LEAST_COMPACTION = 64_000;
/** What prep returned is kept in memory until post only if its text is no longer. */
const LONGEST_KEPT = 2_000;
/** Writes the prep results of steps into the graph: no step has this number. */
const OWN = 0;

/**
 * The live `shared` of a run and the prep results of its open steps. They are one graph, because flows rely on what is an alias
 * of what: post may change `shared.list` through the prep result that is the same list. Every write to it is recorded.
 */
export class Live {
  readonly #graph: Graph;
  readonly #around: Surroundings;
  readonly #journal: Journal;
  readonly #frames = new Map<number, Frame>();
  #snapshotLength: number;
  #entriesLength: number;

  constructor(graph: Graph, around: Surroundings, { snapshot, entries }: StoredGraph) {
    teachStructuredClone();
    this.#graph = graph;
    this.#around = around;
    this.#journal = Journal.read(snapshot, entries);
    this.#snapshotLength = snapshot.length;
    this.#entriesLength = entries.reduce((length, entry) => length + entry.length, 0);
  }

  /** The graph of a run that begins with `input` as its shared. */
  static begin(input: unknown): string {
    return encode({ shared: input, prep: {} } satisfies LiveGraph, "input");
  }

  /** `shared` as hooks of a step see it. */
  sharedFor(step: number): unknown {
    return this.#journal.view(step)(this.#root.shared);
  }

  /** The step's node: a clone of its own, with the params of the flow around it and the fields that prep left on it. */
  node(step: StepRow): BaseNode {
    const known = this.#frames.get(step.id);
    if (known) return known.node;
    const node = copyOf(this.#graph.node(step.node));
    const parent = this.#around.parentOf(step);
    if (step.params !== null) node.setParams(decode(step.params) as never);
    else if (parent) node.setParams(this.#paramsFor(step, parent) as never);
    if (step.fields !== null) this.#restoreFields(node, step);
    const { prep } = this.#root;
    const isInGraph = Object.hasOwn(prep, step.id);
    const isStored = step.phase !== "prep";
    const params = { ...node["_params"] };
    this.#frames.set(step.id, { node, prepRes: prep[step.id], isInGraph, isStored, fields: [], params });
    return node;
  }

  /** What prep left on the node. As text, fields and params are no parts of shared any more; those that were some are so again. */
  #restoreFields(node: BaseNode, { id, fields }: StepRow): void {
    const params = node["_params"];
    Object.assign(node, decode(fields as string));
    for (const [key, value] of Object.entries(params)) if (rawOf(value) !== value) node["_params"][key] = value;
    const parts = Object.entries(this.#root.fields?.[id] ?? {});
    for (const [key, value] of parts) Object.assign(node, { [key]: this.#journal.view(id)(value) });
  }

  /** What a hook made of the params, which are the walk's from then on: as text, or nothing if they are as they were. */
  changedParams(step: StepRow): string | null {
    const { node, params } = this.#frames.get(step.id) as Frame;
    const now = node["_params"];
    const keys = Object.keys(now);
    const isSame =
      keys.length === Object.keys(params).length && keys.every((key) => Object.is(now[key], params[key as never]));
    if (isSame) return step.params;
    const what = `the params of ${step.node}`;
    return checkLength(encode(now, what), what, ROW_LIMIT);
  }

  /** Sets fields on the step's node, if it is here; one that is made later gets them with all the others. */
  assign(step: number, fields: object): void {
    const frame = this.#frames.get(step);
    if (frame) Object.assign(frame.node, fields);
  }

  /** Keeps what prep returned, and the fields it set, until post. `canReturn`: the step's items can give it back. */
  keep(step: number, { prepRes, canReturn, isMany, fields }: Prepared): void {
    const frame = this.#frames.get(step) as Frame;
    this.#journal.rest(step);
    // Branches begin at once, and want to know.
    const isInGraph = !canReturn || (isMany && this.#isPartOfGraph(prepRes));
    this.#frames.set(step, { ...frame, prepRes, isInGraph, fields });
  }

  /** What prep of the step returned; `fromItems` reads it back where it was not kept. */
  prepRes(step: number, fromItems: () => unknown): unknown {
    const frame = this.#frames.get(step) as Frame;
    if (!frame.isStored) frame.isInGraph ||= this.#isPartOfGraph(frame.prepRes);
    if (frame.isInGraph) return this.#journal.view(step)(frame.prepRes);
    return frame.prepRes === undefined ? fromItems() : frame.prepRes;
  }

  /** The step's post has ended: nothing more comes of what its node holds. */
  close(step: number): void {
    this.#journal.close(step);
  }

  /** The step was stopped with its branch. What its prep returned stays in the graph: a redrive may take it up again. */
  forget(step: number): void {
    this.#journal.close(step);
    this.#frames.delete(step);
  }

  /** Whether hooks of any of these steps have written what is not stored yet. */
  haveWritten(steps: ReadonlySet<number>): boolean {
    return this.#journal.haveWritten(steps);
  }

  /** Whether a hook of the step has written what is not stored yet. */
  hasWritten(step: number): boolean {
    return this.#journal.hasWritten(step);
  }

  /**
   * What was written since this was last asked. `prepared` are the steps whose prep ended since, with the length of their items;
   * `posted` those whose post did. Throws an UnstorableError.
   */
  write(prepared: Iterable<readonly [step: number, length: number]>, posted: Iterable<number>): Written {
    const own = this.#journal.view(OWN)(this.#root);
    for (const step of posted) {
      this.#frames.delete(step);
      if (Object.hasOwn(this.#root.prep, step)) delete own.prep[step];
      if (this.#root.fields?.[step]) delete own.fields?.[step];
    }
    const first = this.#journal.write();
    // Only now is known what the graph has: an object that was written into it a moment ago is in it by this entry.
    for (const [step, length] of prepared) this.#place(step, length, own);
    const entries = [first, this.#journal.write()].filter((entry) => entry !== null);
    this.#entriesLength += entries.reduce((length, entry) => length + entry.length, 0);
    return { entries, snapshot: this.#compact() };
  }

  /** Puts what prep returned into the graph, if the step's items cannot give it back, or it is an alias of something there. */
  #place(step: number, length: number, own: LiveGraph): void {
    const frame = this.#frames.get(step);
    if (!frame) return;
    frame.isStored = true;
    frame.isInGraph ||= this.#isPartOfGraph(frame.prepRes);
    // Through a view: what is a part of shared is then known to be one, and is not written again.
    const view = this.#journal.view(OWN);
    if (frame.isInGraph) own.prep[step] = view(frame.prepRes);
    else if (length > LONGEST_KEPT) frame.prepRes = undefined;
    const parts = frame.fields.filter(([, value]) => this.#journal.touches(value));
    frame.fields = [];
    if (parts.length === 0) return;
    own.fields ??= {};
    own.fields[step] = view(Object.fromEntries(parts.map(([key, value]) => [key, rawOf(value)])));
  }

  /** Whether items, each written by itself, would not give back what is an alias of what in a prep result. */
  #isPartOfGraph(prepRes: unknown): boolean {
    if (typeof prepRes !== "object" || prepRes === null) return false;
    return this.#journal.touches(prepRes) || (Array.isArray(prepRes) && !isApart(prepRes, undefined));
  }

  #compact(): string | null {
    if (this.#entriesLength < Math.max(LEAST_COMPACTION, this.#snapshotLength)) return null;
    const snapshot = checkLength(this.#journal.snapshot(), "shared");
    this.#snapshotLength = snapshot.length;
    this.#entriesLength = 0;
    return snapshot;
  }

  #paramsFor(step: StepRow, parent: StepRow): object {
    const params = this.node(parent)["_params"];
    const own = this.#around.isBatchFlow(parent) ? this.#paramsOfBranch(parent.id, indexOf(step)) : {};
    const all: { [key: string]: unknown } = { ...params, ...own };
    // Parts of shared among them: as this step's hooks are to see them.
    for (const key of Object.keys(all)) {
      const raw = rawOf(all[key]);
      if (raw !== all[key]) all[key] = this.#journal.view(step.id)(raw);
    }
    return all;
  }

  #paramsOfBranch(parent: number, branch: number): object {
    const { isInGraph, prepRes } = this.#frames.get(parent) as Frame;
    if (!isInGraph || !Array.isArray(prepRes)) return decode(this.#around.paramsOf(parent, branch)) as object;
    return { ...(this.#journal.view(OWN)(prepRes)[branch] as object) };
  }

  get #root(): LiveGraph {
    return this.#journal.root as LiveGraph;
  }
}

/** A clone of a node without a wiring of its own, which no hook of a durable run looks at. */
export function copyOf<T extends BaseNode>(node: T): T {
  const copy = Object.assign(Object.create(Object.getPrototypeOf(node)) as T, node);
  copy["_params"] = { ...node["_params"] };
  return copy;
}

/** A node's own fields: their values, and of objects, which may be changed in place, the text. */
export type Fields = Map<string, { value: unknown; text: string | undefined }>;

/** There is no text of an object that cannot be stored. */
export function writeFields(node: BaseNode): Fields {
  const fields: Fields = new Map();
  for (const key of Object.keys(node)) {
    const value = node[key as keyof BaseNode] as unknown;
    if (!WIRING.has(key)) fields.set(key, { value, text: textOf(value) });
  }
  return fields;
}

/**
 * The fields that prep set or changed, encoded, so that they reach exec wherever it runs; nothing if there are none.
 *
 * Throws for a field that cannot travel: `shared` itself, which exec must not touch, and what cannot be stored.
 */
export function fieldsLeft(node: BaseNode, changed: Changed, shared: unknown): string | null {
  const left: { [key: string]: unknown } = {};
  for (const [key, value] of changed) {
    refuseShared(node, key, value, shared);
    encode(value, `this.${key} of ${node.constructor.name}, which its prep kept for exec`);
    left[key] = value;
  }
  const params = node["_params"];
  if (Object.keys(params).length > 0) left._params = params;
  if (Object.keys(left).length === 0) return null;
  const name = `the fields that prep of ${node.constructor.name} set`;
  return checkLength(encode(left, name), name, ROW_LIMIT);
}

/** The fields that have another value than before, or were changed in place. */
export function changedFields(node: BaseNode, before: Fields): Changed {
  const changed: Changed = [];
  for (const key of Object.keys(node)) {
    const value = node[key as keyof BaseNode] as unknown;
    if (!WIRING.has(key) && !isSame(value, before.get(key))) changed.push([key, value]);
  }
  return changed;
}

function isSame(value: unknown, before: { value: unknown; text: string | undefined } | undefined): boolean {
  const text = textOf(value);
  return text === undefined ? before !== undefined && Object.is(before.value, value) : before?.text === text;
}

function refuseShared(node: BaseNode, key: string, value: unknown, shared: unknown): void {
  if (typeof shared !== "object" || shared === null || !contains(value, shared)) return;
  throw new TypeError(
    `Expected ${node.constructor.name} to keep shared to prep and post, got it as \`this.${key}\`: exec runs apart from the ` +
      "run's shared store. Return what exec needs from prep instead.",
  );
}

function textOf(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  try {
    return encode(value, "");
  } catch {
    return undefined;
  }
}
