import { sleep } from "../../src/core/attempt.ts";
import { type BaseNode, type ExecContext, Node, ParallelBatchFlow, ParallelBatchNode } from "../../src/index.ts";

// Flows whose every prep and post writes, waits, and writes again, whatever the others do meanwhile. They run in memory too, and
// on servers that are killed.

/** What one branch has written: as much before its hooks wait as after, unless one is half way. */
export interface Own {
  before: number;
  after: number;
  /** Counts both, in place. */
  at: Date;
}

export interface HalfWritten {
  /** The run's, for those who watch several at once. */
  name: string;
  /** How many branches there are. */
  count: number;
  total: number;
  byBranch: { [branch: string]: Own };
  /** Each hook twice: with a plus when it begins, and with a minus when it ends. */
  log: string[];
  /** The hooks that are half way. */
  open: string[];
  states?: Map<string, string>;
  ended?: Set<string>;
  results: { [branch: string]: string[] };
  /** The branches that are through, as one found that waited for them all. */
  seen?: number;
  done?: Set<number>;
}

export function inputOf(count: number, name = ""): HalfWritten {
  return { name, count, total: 0, byBranch: {}, log: [], open: [], results: {} };
}

type Params = { n: number };

/** What hooks and execs wait for. */
export interface Pauses {
  /** Between a hook's writes. */
  inHook(word: string, run: string): Promise<void>;
  inExec(context: ExecContext | undefined): Promise<void>;
}

export const NO_PAUSES: Pauses = { inHook: async () => {}, inExec: async () => {} };

/** A hook of the branch's, by its node; a branch's number is its key, and the flow's own is empty. */
export function wordOf(hook: "prep" | "post", node: string, branch: number | ""): string {
  return `${hook} of ${node} ${branch}`;
}

/** What is written before a hook waits. Returns the object itself where it is new: no proxy tells what is done to that. */
function begin(shared: HalfWritten, word: string, branch: number | ""): Own {
  const known = shared.byBranch[branch];
  const own = known ?? { before: 0, after: 0, at: new Date(0) };
  if (!known) shared.byBranch[branch] = own;
  shared.states ??= new Map();
  shared.total++;
  own.before++;
  own.at.setTime(own.at.getTime() + 1);
  shared.log.push(`+ ${word}`);
  shared.open.push(word);
  shared.states.set(word, "begun");
  return own;
}

/** What is written after it. */
function end(shared: HalfWritten, word: string, own: Own): void {
  shared.ended ??= new Set();
  shared.total++;
  own.after++;
  own.at.setTime(own.at.getTime() + 1);
  shared.log.push(`- ${word}`);
  shared.open.splice(shared.open.indexOf(word), 1);
  shared.states?.set(word, "ended");
  shared.ended.add(word);
}

async function twice(pauses: Pauses, shared: HalfWritten, word: string, branch: number | ""): Promise<void> {
  const own = begin(shared, word, branch);
  await pauses.inHook(word, shared.name);
  end(shared, word, own);
}

/** One call, and two hooks that write twice. */
class Plain extends Node<HalfWritten, Params, number, number> {
  protected readonly node: string;
  protected readonly pauses: Pauses;

  constructor(node: string, pauses: Pauses) {
    super({ name: node });
    this.node = node;
    this.pauses = pauses;
  }

  override async prep(shared: HalfWritten) {
    const { n } = this._params;
    await twice(this.pauses, shared, wordOf("prep", this.node, n), n);
    return n;
  }

  override async exec(n: number, context?: ExecContext) {
    await this.pauses.inExec(context);
    return n;
  }

  override async post(shared: HalfWritten, n: number) {
    await twice(this.pauses, shared, wordOf("post", this.node, n), n);
  }
}

/** Its prep waits once more, before which it changes nothing but a date, in place: no proxy tells of that. */
class Unseen extends Plain {
  override async prep(shared: HalfWritten) {
    const { n } = this._params;
    const { at } = shared.byBranch[n] as Own;
    at.setTime(at.getTime() + 1);
    await this.pauses.inHook(`date of ${n}`, shared.name);
    at.setTime(at.getTime() - 1);
    return super.prep(shared);
  }
}

/** As many items as the branch's number says, which come before its prep waits and after. */
class Many extends ParallelBatchNode<HalfWritten, Params, string, string> {
  private readonly pauses: Pauses;

  constructor(pauses: Pauses) {
    super();
    this.pauses = pauses;
  }

  override async *prep(shared: HalfWritten) {
    const { n } = this._params;
    const word = wordOf("prep", "Many", n);
    const own = begin(shared, word, n);
    yield `${n}.0`;
    await this.pauses.inHook(word, shared.name);
    for (let item = 1; item < itemsOf(n); item++) yield `${n}.${item}`;
    end(shared, word, own);
  }

  override async exec(item: string, context?: ExecContext) {
    await this.pauses.inExec(context);
    return `result ${item}`;
  }

  override async post(shared: HalfWritten, _: unknown, results: string[]) {
    const { n } = this._params;
    shared.results[n] = results;
    await twice(this.pauses, shared, wordOf("post", "Many", n), n);
    return n % 2 === 0 ? "short" : "long";
  }
}

/** How many items a branch has. */
export function itemsOf(n: number): number {
  return 1 + (n % 3);
}

/** Branches at once. */
class Branches extends ParallelBatchFlow<HalfWritten, Params, Params[]> {
  private readonly pauses: Pauses;

  constructor(start: BaseNode, pauses: Pauses, concurrency?: number) {
    super(start, { name: "Branches", ...(concurrency ? { concurrency } : {}) });
    this.pauses = pauses;
  }

  override async prep(shared: HalfWritten) {
    await twice(this.pauses, shared, wordOf("prep", "Branches", ""), "");
    return Array.from({ length: shared.count }, (_, n) => ({ n }));
  }

  override async post(shared: HalfWritten) {
    await twice(this.pauses, shared, wordOf("post", "Branches", ""), "");
    return "counted";
  }
}

/** Every other branch has two nodes, and the rest three. */
export function halfWritten(pauses: Pauses, concurrency?: number): Branches {
  const first = new Plain("First", pauses);
  const many = new Many(pauses);
  first.next(many).on("long", new Unseen("Last", pauses));
  many.end("short");
  return new Branches(first, pauses, concurrency);
}

/** In branch 0: reads what the others write until all of them are through. Its prep writes nothing. */
class Polling extends Node<HalfWritten, Params, number, number> {
  private readonly pauses: Pauses;

  constructor(pauses: Pauses) {
    super({ name: "Polling" });
    this.pauses = pauses;
  }

  override async prep(shared: HalfWritten) {
    const { n } = this._params;
    while (n === 0 && !areThrough(shared)) await sleep(1);
    return n === 0 ? (shared.done?.size ?? 0) : n;
  }

  override exec(seen: number) {
    return seen;
  }

  override async post(shared: HalfWritten, seen: number) {
    const { n } = this._params;
    if (n === 0) shared.seen = seen;
    await twice(this.pauses, shared, wordOf("post", "Polling", n), n);
    return n === 0 ? "alone" : undefined;
  }
}

/** Looks at what all the others write. */
function areThrough({ count, total, byBranch, states, done }: HalfWritten): boolean {
  const sum = Object.values(byBranch).reduce((sum, { before, after }) => sum + before + after, 0);
  const areEnded = [...(states?.values() ?? [])].every((state) => state === "ended");
  return sum === total && areEnded && (done?.size ?? 0) === count - 1;
}

class Through extends Plain {
  override async post(shared: HalfWritten, n: number) {
    await super.post(shared, n);
    shared.done ??= new Set();
    shared.done.add(n);
  }
}

/** One branch waits for all the others, which go through three more nodes. */
export function polling(pauses: Pauses): Branches {
  const start = new Polling(pauses);
  start.next(new Plain("First", pauses)).next(new Plain("Second", pauses)).next(new Through("Third", pauses));
  start.end("alone");
  return new Branches(start, pauses);
}
