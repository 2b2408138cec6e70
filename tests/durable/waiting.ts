import type { FlowEntry } from "../../src/cloudflare.ts";
import {
  type BaseNode,
  BatchNode,
  type Duration,
  Flow,
  Node,
  type NonIterableObject,
  type Outcome,
  ParallelBatchFlow,
  type Signal,
  SleepNode,
  sleep,
  WaitForEvent,
} from "../../src/index.ts";
import { stage } from "./stage.ts";

/** What the flows below take, and what they write. */
export interface Waiting {
  /** How long to sleep, in seconds, or a duration. */
  time?: Duration;
  /** Until when, in milliseconds. */
  untilMs?: number;
  names?: string[];
  /** How long the branches sleep. */
  times?: Duration[];
  /** So many times more a node waits that goes round. */
  rounds?: number;
  /** What a prep returns that is none of the above. */
  odd?: "nothing" | "no date" | "a list" | "an object" | "a number";
  got?: unknown[];
}

type Params = { name?: string; time?: Duration; n?: number };

const ODD = {
  nothing: undefined,
  "no date": new Date(Number.NaN),
  "a list": [1],
  "an object": { name: "approval" },
  "a number": 5,
} as const;

function note(shared: Waiting, word: unknown): void {
  shared.got = [...(shared.got ?? []), word];
}

class Sleeper extends SleepNode<Waiting> {
  override prep({ time, untilMs, odd }: Waiting) {
    if (odd !== undefined) return ODD[odd] as never;
    return untilMs === undefined ? (time as Duration) : new Date(untilMs);
  }
}

/** Writes before it sleeps, and when it wakes; each time it takes effect. */
class Writer extends Sleeper {
  override prep(shared: Waiting) {
    note(shared, "lies down");
    return super.prep(shared);
  }
  override post(shared: Waiting, _: unknown, nothing: undefined) {
    note(shared, `gets up with ${nothing}`);
  }
}

class Mark extends Node<Waiting> {
  override post(shared: Waiting) {
    stage().say("marked");
    note(shared, "marked");
  }
}

/** Its prep, or its post, waits at a gate. */
class Halt extends Node<Waiting> {
  private readonly hook: "prep" | "post";

  constructor(hook: "prep" | "post") {
    super();
    this.hook = hook;
  }
  override prep() {
    return this.halt("prep");
  }
  override async post(shared: Waiting) {
    await this.halt("post");
    note(shared, "halted");
  }
  private async halt(hook: string) {
    if (hook !== this.hook) return;
    stage().say("halts");
    await stage().pass("halt");
  }
}

class Approval extends WaitForEvent<Waiting, Params> {
  override post(shared: Waiting, name: string, signal: Signal | null): string | Promise<string> {
    stage().say(`post of ${name}`);
    note(shared, signal === null ? `${name} timed out` : signal.payload);
    return signal === null ? "timeout" : "default";
  }
}

/** Its prep waits at a gate before it says what it waits for. */
class SlowApproval extends Approval {
  override async prep() {
    stage().say("halts");
    await stage().pass("halt");
    return "approval";
  }
}

class SlowSleeper extends SleepNode<Waiting> {
  override async prep({ time }: Waiting) {
    stage().say("halts");
    await stage().pass("halt");
    return time as Duration;
  }
  override post(shared: Waiting, _: unknown, nothing: undefined) {
    note(shared, `gets up with ${nothing}`);
  }
}

/** Its post says all that it is given. */
class Exact extends WaitForEvent<Waiting> {
  override post(shared: Waiting, name: string, signal: Signal | null) {
    note(shared, { name, signal, isDate: signal?.at instanceof Date });
    return super.post(shared, name, signal);
  }
}

/** Waits for the signal that its branch names. */
class Named extends Approval {
  override prep(): string {
    return this._params.name as string;
  }
}

/** Its post waits at a gate. */
class NamedAndSlow extends Named {
  override async post(shared: Waiting, name: string, signal: Signal | null) {
    stage().say("halts");
    await stage().pass("halt");
    return super.post(shared, name, signal);
  }
}

/** Waits for whatever its run says. */
class Odd extends WaitForEvent<Waiting> {
  override prep({ names = [], odd }: Waiting) {
    return odd === undefined ? (names[0] as string) : (ODD[odd] as never);
  }
}

class Again extends Approval {
  override post(shared: Waiting, name: string, signal: Signal | null) {
    super.post(shared, name, signal);
    shared.rounds = (shared.rounds ?? 1) - 1;
    return shared.rounds > 0 ? "again" : "enough";
  }
}

class Napper extends SleepNode<Waiting, Params> {
  override prep() {
    return this._params.time as Duration;
  }
  override post(shared: Waiting) {
    note(shared, this._params.n);
  }
}

class EachName extends ParallelBatchFlow<Waiting> {
  override prep({ names = [] }: Waiting) {
    return names.map((name) => ({ name }));
  }
}

class EachTime extends ParallelBatchFlow<Waiting> {
  override prep({ times = [] }: Waiting) {
    return times.map((time, n) => ({ time, n }));
  }
}

/** Many branches that sleep for one time. */
class Dormitory extends ParallelBatchFlow<Waiting> {
  override prep({ time, rounds = 0 }: Waiting) {
    return Array.from({ length: rounds }, () => ({ time }));
  }
}

class Doze extends SleepNode<Waiting, Params> {
  override prep() {
    return this._params.time as Duration;
  }
}

/** Fails at its gate, until the test has said that it is healed. */
class Fragile extends Node<Waiting, Params> {
  override async exec() {
    stage().say("fragile");
    await stage().pass("fragile");
    if (stage().count("healed") === 0) throw new Error("not healed");
  }
  override post(shared: Waiting) {
    note(shared, "healed");
  }
}

/** A branch whose name is "fragile" fails; the others wait for their signals, or sleep. */
class Fork extends Node<Waiting, Params> {
  override post() {
    const { name = "" } = this._params;
    return ["fragile", "sleep", "slow"].includes(name) ? name : "waits";
  }
}

/** A branch that fails stops the others. */
function forked(): BaseNode {
  const fork = new Fork();
  fork.on("fragile", new Fragile());
  fork.on("sleep", new Writer());
  fork.on("slow", new NamedAndSlow());
  fork.on("waits", new Named());
  return fork as BaseNode;
}

/** Collects how the flow of branches in it has ended. */
class Around extends ParallelBatchFlow<Waiting> {
  override prep() {
    return [{}];
  }
  override post(shared: Waiting, _: unknown, outcomes: Outcome<unknown>[]) {
    note(
      shared,
      outcomes.map(({ ok }) => ok),
    );
  }
}

/** Items of which the odd ones fail until they are healed. */
class Items extends BatchNode<Waiting, NonIterableObject, number, number> {
  override prep() {
    return [0, 1, 2, 3];
  }
  override exec(n: number) {
    stage().say(`item ${n}`);
    if (n % 2 === 1 && stage().count("healed") === 0) throw new Error("not healed");
    return n;
  }
  override post(shared: Waiting, _: unknown, outcomes: Outcome<number>[]) {
    note(shared, outcomes.filter(({ ok }) => ok).length);
  }
}

function chain(...nodes: BaseNode[]): Flow<Waiting> {
  for (const [at, node] of nodes.entries()) if (at > 0) (nodes[at - 1] as BaseNode).next(node);
  return new Flow<Waiting>(nodes[0] as BaseNode);
}

const approval = (timeout?: Duration) => new Approval("approval", timeout === undefined ? {} : { timeout }) as BaseNode;

/** An approval that goes on the same way whether it came in time or not. */
function approvalWithin(timeout: Duration): Flow<Waiting> {
  const [first, mark] = [approval(timeout), new Mark() as BaseNode];
  first.on("timeout", mark);
  first.next(mark);
  return new Flow<Waiting>(first);
}

function around(last: BaseNode): Flow<Waiting> {
  const collecting = new Around(new EachName(forked()), { onItemError: "collect" });
  return chain(collecting as BaseNode, last);
}

function rounds(): Flow<Waiting> {
  const again = new Again("approval");
  again.on("again", again).end("enough");
  return new Flow<Waiting>(again);
}

/** A branch that takes its signal, and the node behind that. */
function namedThen(next: BaseNode): BaseNode {
  const named = new Named();
  named.next(next);
  return named as BaseNode;
}

export const waitingFlows: { [name: string]: FlowEntry | (() => BaseNode) } = {
  sleeper: () => chain(new Sleeper() as BaseNode, new Mark() as BaseNode),
  writer: () => chain(new Writer() as BaseNode, new Mark() as BaseNode),
  "sleeper, nested": () => {
    const inner = new Flow<Waiting>(new Flow<Waiting>(new Writer() as BaseNode, { name: "Innermost" }), {
      name: "Inner",
    });
    return chain(new Mark() as BaseNode, inner as BaseNode, new Mark() as BaseNode);
  },
  approval: () => {
    const first = approval();
    first.next(new Mark()).end("default");
    return new Flow<Waiting>(first);
  },
  "approval, exactly": () => {
    const exact = new Exact("approval", { timeout: "2d" });
    exact.end("timeout");
    return new Flow<Waiting>(exact);
  },
  "approval, after a while": () => chain(new SlowApproval() as BaseNode),
  "sleeper, after a while": () => chain(new SlowSleeper() as BaseNode),
  "approval, odd": () => new Flow<Waiting>(new Odd("approval") as BaseNode),
  "approval, then halts": () => chain(approval(), new Halt("post") as BaseNode),
  "approval in two days": () => approvalWithin("2d"),
  "approval in no time": () => approvalWithin(0),
  "approval in no time, then halts": () => {
    const [first, halt] = [approval(0), new Halt("post") as BaseNode];
    first.on("timeout", halt);
    first.next(halt);
    return new Flow<Waiting>(first);
  },
  "approval in an hour": { flow: () => chain(approval(), new Mark() as BaseNode), deadline: "1h" },
  "sleeper in an hour": { flow: () => chain(new Sleeper() as BaseNode), deadline: "1h" },
  "approval in a moment": () => {
    const first = approval(0.02);
    const pause = sleep(0.01);
    first.on("timeout", pause);
    pause.next(new Mark());
    return new Flow<Waiting>(first);
  },
  "approval-in-time": () => {
    const first = approval(0.5);
    const pause = sleep(0.1);
    first.on("timeout", pause);
    pause.next(new Mark());
    return new Flow<Waiting>(first);
  },
  approvals: () => new EachName(new Flow<Waiting>(new Named() as BaseNode)),
  "approvals and marks": () => new EachName(namedThen(new Mark() as BaseNode)),
  "approvals, each then in prep": () => new EachName(namedThen(new Halt("prep") as BaseNode)),
  "approvals, each then in post": () => new EachName(namedThen(new Halt("post") as BaseNode)),
  "approvals, three at a time": () => new EachName(new Named() as BaseNode, { concurrency: 3 }),
  "approvals, then sleeps": () => new EachName(namedThen(sleep("5d"))),
  "approvals in rounds": rounds,
  "approvals, some of which stop": () => new EachName(forked()),
  "approvals, some of which stop, collected": () => around(new Mark() as BaseNode),
  "approvals, some of which stop, collected, then approval": () => around(approval()),
  "items, then approval": () =>
    chain(new Items({ onItemError: "collect" }) as BaseNode, approval("2d"), new Mark() as BaseNode),
  "approval, then fails": () => chain(approval(), new Fragile() as BaseNode),
  naps: () => new EachTime(new Napper() as BaseNode),
  dormitory: () => new Dormitory(new Doze() as BaseNode),
};
