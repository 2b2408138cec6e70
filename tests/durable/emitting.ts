import {
  type BaseNode,
  type ExecContext,
  Flow,
  Node,
  type NodeOptions,
  type NonIterableObject,
  ParallelBatchFlow,
  ParallelBatchNode,
} from "../../src/index.ts";
import { halt } from "./halting.ts";
import { stage } from "./stage.ts";

/** What an item emits, word by word. */
export interface Speech {
  words: string[];
  /** Waits at a gate after each word, which has the word's name. */
  isGated?: boolean;
}

export interface Talk {
  speeches: Speech[];
  /** The hooks that halt in the middle, the first time they get there. */
  at?: string[];
  results?: number[];
}

/** Tells each word by the item's context, and in the end, by the node, how many they were, if there were any. */
async function speak(node: Pick<BaseNode, "emit">, { words, isGated }: Speech, context: ExecContext): Promise<number> {
  for (const word of words) {
    context.emit(word);
    stage().say(word);
    if (isGated) await stage().pass(word);
  }
  if (words.length > 0) node.emit(words.length);
  return words.length;
}

/** Emits before it halts in a hook, and after. */
async function halting(node: Pick<BaseNode, "emit">, hook: string, { at = [] }: Talk): Promise<void> {
  node.emit(`${hook} begins`);
  await halt(hook, { at });
  node.emit(`${hook} ends`);
}

class Talking extends ParallelBatchNode<Talk, NonIterableObject, Speech, number> {
  async prep(shared: Talk) {
    await halting(this, "prep", shared);
    return shared.speeches;
  }
  exec(speech: Speech, context: ExecContext) {
    return speak(this, speech, context);
  }
  async post(shared: Talk, _: Speech[], results: number[]) {
    await halting(this, "post", shared);
    shared.results = results;
  }
}

/** One item alone, which is executed where the run is. */
class Soliloquy extends Node<Talk, NonIterableObject, Speech, number> {
  prep({ speeches }: Talk) {
    return speeches[0] as Speech;
  }
  exec(speech: Speech, context: ExecContext) {
    return speak(this, speech, context);
  }
}

/** Emits at each of its two attempts, and fails. */
class Failing extends Node<object> {
  exec(_: unknown, context: ExecContext) {
    context.emit(`attempt ${context.attempt}`);
    throw new Error("no more words");
  }
}

/** Emits in its post, which then fails. */
class FailingPost extends Node<object> {
  prep() {
    this.emit("prep");
  }
  post() {
    this.emit("post");
    throw new Error("no more words");
  }
}

export interface Branches {
  count: number;
  /** The posts that halt before they emit. */
  at?: string[];
}

/** In every hook and exec, emits where it is. */
class InBranch extends Node<Branches, { n: number }, number, number> {
  prep() {
    this.emit(`prep ${this._params.n}`);
    return this._params.n;
  }
  exec(n: number, context: ExecContext) {
    context.emit(`exec ${n}`);
    return n;
  }
  async post({ at = [] }: Branches, n: number) {
    await halt(`post ${n}`, { at });
    this.emit(`post ${n}`);
  }
}

class Branching extends ParallelBatchFlow<Branches, { n: number }, { n: number }[]> {
  prep({ count }: Branches) {
    this.emit("branches");
    return Array.from({ length: count }, (_, n) => ({ n }));
  }
  post() {
    this.emit("joined");
  }
}

/** Where and how often to emit a number, with so many letters after it if there are any. */
export interface Many {
  where: "prep" | "exec" | "hooks";
  count: number;
  letters: number;
}

class Chatting extends Node<Many, NonIterableObject, Many, number> {
  prep(shared: Many) {
    if (shared.where !== "exec") chat(shared, (data) => this.emit(data));
    return { ...shared };
  }
  exec(many: Many, context: ExecContext) {
    if (many.where === "exec") chat(many, (data) => context.emit(data));
    return many.count;
  }
  post(shared: Many) {
    if (shared.where === "hooks") chat(shared, (data) => this.emit(data));
  }
}

function chat({ count, letters }: Many, emit: (data: unknown) => void): void {
  for (let n = 1; n <= count; n++) emit(letters === 0 ? n : textFor(n, letters));
}

/** An item that says its word at each attempt, waits at the gate of that name, and fails at so many attempts. */
export interface Try {
  word: string;
  failures?: number;
  message?: string;
  name?: string;
}

class Trying extends ParallelBatchNode<{ tries: Try[] }, NonIterableObject, Try, string> {
  prep({ tries }: { tries: Try[] }) {
    return tries;
  }
  async exec({ word, failures = 0, message = `no ${word}`, name = "Error" }: Try, context: ExecContext) {
    context.emit(word);
    await stage().pass(word);
    stage().say(`${word} over`);
    if (context.attempt <= failures) throw Object.assign(new Error(message), { name });
    return word;
  }
}

class Closing extends Node<object> {
  post() {
    this.emit("closed");
  }
}

/** Its items are done at once, and some of them tell that. */
export interface Quick {
  count: number;
  /** Each item of which the number is divided by this tells it. */
  every: number;
}

class Counting extends ParallelBatchNode<Quick, NonIterableObject, { n: number; isTold: boolean }, number> {
  prep({ count, every }: Quick) {
    return Array.from({ length: count }, (_, n) => ({ n, isTold: n % every === 0 }));
  }
  exec({ n, isTold }: { n: number; isTold: boolean }, context: ExecContext) {
    if (isTold) context.emit(n);
    return n;
  }
}

/** A letter that is longer each time that it is written as JSON. */
export function textFor(n: number, letters: number): string {
  return n + '"'.repeat(letters);
}

class Unknown {
  readonly secret = 1;
}

/** What cannot be kept, by what it is. */
export const RUBBISH: { readonly [what: string]: () => unknown } = {
  "a function": () => () => 1,
  "a class's instance": () => new Unknown(),
  "a promise": () => Promise.resolve(1),
  "a symbol": () => Symbol("s"),
  "a text that is too long": () => "x".repeat(15_999),
  "a list that is too long": () => Array.from({ length: 8_000 }, () => 1),
  "a getter that throws": () => ({
    get part() {
      throw new Error("no part");
    },
  }),
  "a getter that throws what cannot be printed": () => ({
    get part() {
      throw Object.create(null);
    },
  }),
};

/** What is kept as JSON says it, with what that is. */
export const UNUSUAL: readonly (readonly [data: unknown, json: unknown])[] = [
  [undefined, null],
  [Number.NaN, null],
  [12n, "12"],
  [new Date(0), "1970-01-01T00:00:00.000Z"],
  [new Map([["a", 1]]), [["a", 1]]],
  [new Error("bad"), { name: "Error", message: "bad" }],
  ["a line\r\n\ndata: another\u2028\u0000 😀 \ud800", "a line\r\n\ndata: another\u2028\u0000 😀 \ud800"],
  ["x".repeat(15_998), "x".repeat(15_998)],
];

/** Emits, or else only says, the same everywhere. */
class Saying extends Node<{ what: string; isSilent: boolean; result?: unknown }, NonIterableObject, string, string> {
  prep({ what, isSilent }: { what: string; isSilent: boolean }) {
    const known = isSilent ? "" : what;
    say(known, (data) => this.emit(data));
    return known;
  }
  exec(what: string, context: ExecContext) {
    say(what, (data) => context.emit(data));
    say(what, (data) => this.emit(data));
    return "result";
  }
  post(shared: { what: string; isSilent: boolean; result?: unknown }, what: string, result: string) {
    say(what, (data) => this.emit(data));
    shared.result = result;
    return "said";
  }
}

function say(what: string, emit: (data: unknown) => void): void {
  const rubbish = RUBBISH[what];
  if (what === "") return;
  emit("before");
  if (rubbish) emit(rubbish());
  else for (const [data] of UNUSUAL) emit(data);
  emit("after");
}

function trying(): Flow {
  const first = new Trying({ onItemError: "collect", maxRetries: 2, concurrency: 4 });
  first.next(new Closing());
  return new Flow(first);
}

const talking = (options: NodeOptions = {}) => new Flow(new Talking(options));

/** Flows that emit, and halt where a test wants to look at that. */
export const emittingFlows = {
  emitting: () => talking(),
  "emitting by queue": () => talking({ executor: "queue" }),
  "emitting alone": () => new Flow(new Soliloquy()),
  "emitting twice": () => {
    const first = new Talking();
    first.next(new Talking());
    return new Flow(first);
  },
  "emitting, failing": () => new Flow(new Failing({ maxRetries: 2 })),
  "emitting, failing post": () => new Flow(new FailingPost()),
  "emitting in branches": () => new Branching(new InBranch()),
  "emitting many": () => new Flow(new Chatting()),
  "emitting anything": () => new Flow(new Saying()),
  "emitting, collecting": trying,
  "emitting quickly": () => new Flow(new Counting()),
};
