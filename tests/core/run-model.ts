import type { Graph } from "../../src/core/graph.ts";
import type { Effect, EndedBranch, Event, Step, Transition } from "../../src/core/run.ts";
import { branched, executed, Machine, posted, prepared, STARTED, words } from "./machine.ts";

/** What is true of a batch flow's step by what was seen of it, and not by what it says of itself. */
interface Branches {
  size: number;
  width: number;
  begun: string[];
  ended: EndedBranch[];
  posts: number;
}

/**
 * A run with everything that is to be done for it in hand: effects that were not performed yet, and items in exec. Keeps a record
 * of its own of what has happened, and throws where the run does what it must not.
 */
export class Modeled {
  readonly machine: Machine;
  /** Effects that were asked for and not performed yet. */
  due: Effect[] = [];
  /** Steps whose items are in exec. */
  readonly inExec = new Set<number>();
  readonly branches = new Map<number, Branches>();
  /** Steps of each walk, in order, by the flow's step and the branch. */
  readonly walks = new Map<string, Step[]>();

  #begun = 0;

  constructor(graph: Graph) {
    this.machine = new Machine(graph);
    this.#on(STARTED);
  }

  get isOver(): boolean {
    return this.machine.run.status !== "running";
  }

  /** How many things could happen next. */
  get choices(): number {
    return this.due.length + this.inExec.size;
  }

  /** Lets one of them happen: a hook ends, with so many items or this action; items are done; more branches begin. */
  happen(choice: number, size: number, action: string): void {
    const at = choice % this.choices;
    const [effect] = this.due.splice(at, 1);
    if (effect) this.#perform(effect, size, action);
    else this.#on(executed([...this.inExec][at - this.due.length] as number));
  }

  /** An event of a step that is elsewhere by now. */
  comeLate(id: number, phase: "prep" | "exec" | "post"): void {
    const { machine } = this;
    const step = machine.steps.get(id);
    if (step?.phase === phase || (phase === "exec" && step?.phase === "exec")) return;
    const { run } = machine;
    const event = { prep: prepared(id, 2), exec: executed(id), post: posted(id) }[phase];
    const made = machine.on(event);
    check(made.run === run && made.steps.length + made.ends.length + made.effects.length === 0, "a late event moves");
  }

  /** The object is lost: what is to be done is found again from the steps. What executors do goes on. */
  crash(): void {
    this.due = this.machine.pending;
  }

  /** What must hold whenever nothing is happening. */
  check(): void {
    if (this.isOver) check(this.machine.pending.length === 0, "a run that is over has nothing to do");
    else {
      this.#checkPending();
      for (const [id, branches] of this.branches) this.#checkBranches(id, branches);
    }
  }

  #perform(effect: Effect, size: number, action: string): void {
    const { step } = effect;
    if (effect.type === "branch") this.#branch(step);
    else if (effect.hook === "post") this.#on(posted(step, action));
    else this.#prepare(this.machine.steps.get(step) as Step, size);
  }

  #prepare({ id, node }: Step, size: number): void {
    const kind = this.machine.graph.kind(node);
    const items = kind === "node" || kind === "flow" ? 1 : size;
    if (kind.endsWith("batch-flow")) this.branches.set(id, this.#branchesOf(node, items));
    this.#on(prepared(id, items));
  }

  #branch(step: number): void {
    const room = this.machine.pending.some((effect) => effect.type === "branch" && effect.step === step);
    const { begun } = this.branches.get(step) as Branches;
    const before = begun.length;
    this.#on(branched(step));
    check(begun.length > before === room, "a turn of branches begins some where there is room, and none else");
  }

  #branchesOf(node: string, size: number): Branches {
    const { graph } = this.machine;
    const { concurrency = Number.POSITIVE_INFINITY } = graph.node(node)["_options"];
    return { size, width: graph.kind(node) === "batch-flow" ? 1 : concurrency, begun: [], ended: [], posts: 0 };
  }

  #on(event: Event): void {
    const { steps, run } = this.machine;
    const moved = "step" in event ? steps.get(event.step) : undefined;
    const made = this.machine.on(event);
    if (event.type === "posted") this.#checkEnd(moved as Step, event.action, made);
    else check(made.ends.length === 0, "only a post ends a branch");
    for (const step of made.steps) if (step.id > run.lastStep) this.#begin(step);
    for (const step of made.steps) this.#note(step);
    for (const effect of made.effects) this.#countPost(effect);
    this.due.push(...made.effects);
    if (this.isOver) this.due = [];
  }

  #countPost(effect: Effect): void {
    const branches = this.branches.get(effect.step);
    if (branches && effect.type === "hook" && effect.hook === "post") branches.posts++;
  }

  #note({ id, phase, node }: Step): void {
    const isLeaf = this.machine.graph.startOf(node) === undefined;
    if (isLeaf && phase === "exec" && !this.isOver) this.inExec.add(id);
    else this.inExec.delete(id);
  }

  /** A step begins where its walk, or its branch, goes on. */
  #begin(step: Step): void {
    const walk = this.#walkOf(step);
    walk.push(step);
    check(step.visit === walk.length, "visits are counted from one, for each walk");
    const { maxSteps = Number.POSITIVE_INFINITY } = this.#optionsOf(step.parent);
    check(walk.length <= maxSteps, "no walk has more steps than its flow allows");
    check(step.id === ++this.#begun, "steps are numbered as they begin");
    const parent = this.machine.steps.get(step.parent ?? 0);
    const branches = this.branches.get(step.parent ?? 0);
    if (!branches) check(step.branch === (parent?.branch ?? ""), "a walk stays on its branch");
    else if (walk.length === 1) {
      const prefix = parent?.branch ? `${parent.branch}/` : "";
      check(step.branch === `${prefix}${branches.begun.length}`, "branches begin in order, each once");
      branches.begun.push(step.branch);
    }
  }

  /** A post that ends a branch says so, once, with what the branch ended with. */
  #checkEnd(step: Step, action: string | null, { ends }: Transition): void {
    const branches = this.branches.get(step.parent ?? 0);
    const isLast = branches !== undefined && this.machine.graph.next(step.node, action || "default") === undefined;
    const index = Number(step.branch.split("/").at(-1));
    const ended = isLast ? [{ step: step.parent as number, index, action, end: this.#endOf(step), error: null }] : [];
    check(
      same(ends, ended),
      `a post that ends a branch says how: ${JSON.stringify(ended)}, not ${JSON.stringify(ends)}`,
    );
    check(!isLast || !branches.ended.some((end) => end.index === index), "a branch ends once");
    branches?.ended.push(...ended);
  }

  /** The step whose results a step ends with: its own, or those of the last step of its walk. A batch flow has none. */
  #endOf(step: Step): number | null {
    const kind = this.machine.graph.kind(step.node);
    if (kind.endsWith("batch-flow")) return null;
    return kind === "flow" ? this.#endOf(this.walks.get(`${step.id}:${step.branch}`)?.at(-1) as Step) : step.id;
  }

  #walkOf({ parent, branch }: Step): Step[] {
    const key = `${parent}:${branch}`;
    const walk = this.walks.get(key) ?? [];
    this.walks.set(key, walk);
    return walk;
  }

  #optionsOf(parent: number | null): { maxSteps?: number } {
    const step = this.machine.steps.get(parent ?? 0);
    return step ? this.machine.graph.node(step.node)["_options"] : {};
  }

  /** What is still to be done is what a crash would find. Of branches that began otherwise meanwhile nothing is to be done. */
  #checkPending(): void {
    const { pending } = this.machine;
    const due = words(this.due.filter(({ type }) => type === "hook")).sort();
    check(same(words(pending.filter(({ type }) => type === "hook")).sort(), due), "hooks to be performed");
    const isFound = new Set(words(this.due));
    check(
      words(pending).every((effect) => isFound.has(effect)),
      "no effect comes to light by a crash alone",
    );
    const inExec = this.machine.open.filter(({ id, phase }) => phase === "exec" && this.#isLeaf(id));
    check(same(inExec.map(({ id }) => id).sort(), [...this.inExec].sort()), "steps whose items are in exec");
    check(pending.length + inExec.length > 0, "a run that goes on has something to do");
  }

  #isLeaf(id: number): boolean {
    return this.machine.graph.startOf(this.machine.steps.get(id)?.node as string) === undefined;
  }

  #checkBranches(id: number, { size, width, begun, ended, posts }: Branches): void {
    const open = begun.length - ended.length;
    check(open >= 0 && open <= width, `${open} of at most ${width} branches are under way`);
    check(posts === (ended.length === size ? 1 : 0), "post comes once, when all branches have ended");
    const canBegin = ended.length < size && begun.length < Math.min(size, ended.length + width);
    const isDue = this.due.some((effect) => effect.type === "branch" && effect.step === id);
    check(!canBegin || isDue, "branches that may begin do, or are about to");
  }
}

/** Not by `expect`: this is asked very often. */
export function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`Expected that ${what}`);
}

function same(some: unknown[], others: unknown[]): boolean {
  return JSON.stringify(some) === JSON.stringify(others);
}
