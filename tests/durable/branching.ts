import {
  BatchFlow,
  BatchNode,
  type BranchEnd,
  Flow,
  Node,
  ParallelBatchFlow,
  ParallelBatchNode,
} from "../../src/index.ts";
import { halt } from "./halting.ts";
import { stage } from "./stage.ts";

export interface Branching {
  /** How many branches there are. */
  count: number;
  /** The hooks that halt in the middle, the first time they get there. */
  at: string[];
  log: string[];
  done: number[];
  /** The branch whose first post fails. */
  failing?: number;
  told?: BranchEnd[];
}

type Params = { n: number; inner?: number };

function numbered({ count }: Branching): Params[] {
  return Array.from({ length: count }, (_, n) => ({ n }));
}

/** Its exec waits at a gate; its post writes, halts, and writes again. */
class First extends Node<Branching, Params, number, number> {
  prep(_: Branching) {
    return this._params.n;
  }
  async exec(n: number) {
    stage().say(`exec ${n}`);
    await stage().pass(`exec ${n}`);
    if (stage().count(`fail ${n}`) > 0) throw new Error(`exec ${n} failed`);
    return 10 * n;
  }
  async post(shared: Branching, n: number) {
    shared.log.push(`post ${n} began`);
    await halt(`post ${n}`, shared);
    if (shared.failing === n) throw new Error(`post ${n} failed`);
    shared.log.push(`post ${n} ended`);
  }
}

class Second extends Node<Branching, Params, number, number> {
  prep() {
    stage().say(`second prep ${this._params.n}`);
    return this._params.n;
  }
  exec(n: number) {
    stage().say(`second exec ${n}`);
    return n;
  }
  post(shared: Branching, n: number) {
    shared.done.push(n);
  }
}

/** In branch 0: waits until all the others have written that they are done. */
class Waiting extends Node<Branching, Params, number, number> {
  async prep({ count, done }: Branching) {
    stage().say(`waiting ${this._params.n}`);
    while (this._params.n === 0 && done.length < count - 1) await scheduler.wait(1);
    return this._params.n;
  }
  exec(n: number) {
    return n;
  }
  post(shared: Branching, n: number) {
    shared.done.push(n);
  }
}

/** Branches at once; its post writes what it is told of them, halts, and writes it again. */
class AtOnce extends ParallelBatchFlow<Branching, Params, Params[]> {
  prep(shared: Branching) {
    return numbered(shared);
  }
  async post(shared: Branching, _: Params[], none: unknown, branches: BranchEnd[] = []) {
    if (none !== undefined) throw new Error("A batch flow has no result");
    shared.told = branches;
    await halt("told", shared);
    return "told";
  }
}

class InOrder extends BatchFlow<Branching, Params, Params[]> {
  prep(shared: Branching) {
    return numbered(shared);
  }
}

/** Says when a call of it begins and ends, with what it is of; waits at a gate in between. */
class Said extends Node<Branching, Params, string, string> {
  prep(_: Branching) {
    stage().say(`in ${this._params.n}`);
    return String(this._params.n);
  }
  exec(of: string) {
    return saidCall(of);
  }
  post() {
    stage().say(`out ${this._params.n}`);
    return this._params.n % 2 === 1 ? "odd" : undefined;
  }
}

class SaidMany extends ParallelBatchNode<Branching, Params, string, string> {
  prep(_: Branching) {
    return ["a", "b", "c"].map((item) => `${this._params.n}${item}`);
  }
  exec(of: string) {
    return saidCall(of);
  }
  post() {
    return "many";
  }
}

class SaidInTurn extends BatchNode<Branching, Params, string, string> {
  prep() {
    return ["a", "b", "c"].map((item) => `${this._params.n}${item}`);
  }
  async exec(of: string) {
    stage().say(`begin ${of}`);
    await stage().pass(`go ${of}`);
    stage().say(`end ${of}`);
    return of;
  }
}

async function saidCall(of: string): Promise<string> {
  stage().say(`begin ${of}`);
  await stage().pass("go");
  stage().say(`end ${of}`);
  return `result ${of}`;
}

/** An inner flow of branches, in each of `AtOnce`: two of them. */
class Pair extends ParallelBatchFlow<Branching> {
  prep() {
    return [{ inner: 0 }, { inner: 1 }];
  }
  post() {
    return "paired";
  }
}

function firstThenSecond(): First {
  const first = new First();
  first.next(new Second());
  return first;
}

/** Three steps in branches with an even number, two in the others. */
function longAndShort(): Said {
  const first = new Said({ name: "Long" });
  first
    .on("odd", new Second())
    .next(new Said({ name: "Longer" }))
    .next(new Said({ name: "Longest" }));
  return first;
}

/** Flows with branches that halt where a test wants to look at them, or to end them. */
export const branchingFlows = {
  branching: () => new AtOnce(firstThenSecond()),
  "branching, waiting": () => new AtOnce(new Waiting()),
  "branching, three at a time": () => new AtOnce(new Said(), { concurrency: 3 }),
  "branching, two calls at a time": () => new AtOnce(new Said({ concurrency: 2 })),
  "branching, many, four calls at a time": () => new AtOnce(new SaidMany({ concurrency: 4 })),
  "branching, by queue": () => new AtOnce(new Said({ executor: "queue" })),
  "branching, each in turn": () => new AtOnce(new SaidInTurn()),
  "branching, long and short": () => new AtOnce(longAndShort()),
  "branching, in order": () => new InOrder(new Said()),
  "branching, in pairs": () => new Flow(new AtOnce(new Pair(new Said()))),
  "branching to each end": () => {
    const said = new Said();
    said.on("odd", new SaidMany());
    return new AtOnce(said);
  },
};
