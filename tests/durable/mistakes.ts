import {
  BatchFlow,
  BatchNode,
  Flow,
  Node,
  type NonIterableObject,
  ParallelBatchFlow,
  ParallelBatchNode,
} from "../../src/index.ts";

interface Shared {
  size?: number;
  kept?: unknown;
}

class Socket {}

/** An exec that needs what it must not have. */
class Greedy extends Node<Shared> {
  private shared: Shared | undefined;
  prep(shared: Shared) {
    this.shared = shared;
  }
  exec() {
    return this.shared?.size;
  }
}

class DeeplyGreedy extends Node<Shared> {
  private context: unknown;
  prep(shared: Shared) {
    this.context = { all: new Map([["shared", shared]]) };
  }
  exec() {
    return this.context;
  }
}

class Connected extends Node<Shared> {
  private socket: unknown;
  prep() {
    this.socket = new Socket();
  }
  exec() {
    return this.socket;
  }
}

class Remembering extends ParallelBatchNode<Shared, NonIterableObject, number, number> {
  private last = 0;
  prep() {
    return [1, 2];
  }
  exec(number: number) {
    this.last = number;
    return this.last;
  }
}

class Sharing extends Node<Shared> {
  post(shared: Shared) {
    shared.kept = { socket: new Socket() };
  }
}

class Handing extends BatchNode<Shared> {
  prep() {
    return ["fine", { send() {} }];
  }
}

class Returning extends ParallelBatchNode<Shared, NonIterableObject, number> {
  prep() {
    return [0, 1];
  }
  exec(number: number) {
    return number === 0 ? 0 : { later: Promise.resolve() };
  }
}

class Actions extends Node<Shared> {
  post() {
    return 5 as unknown as string;
  }
}

/** Makes a text of so many characters, three bytes each, at each place where a run keeps values. */
class Large extends ParallelBatchNode<Shared, NonIterableObject, { text: string }, string> {
  private field = "";
  prep(shared: Shared) {
    const text = "€".repeat(shared.size ?? 0);
    if (shared.kept === "field") this.field = text;
    if (shared.kept === "error") throw new Error(text);
    return shared.kept === "item"
      ? [{ text }, { text: "" }]
      : [{ text: "" }, { text: shared.kept === "result" ? "!" : "" }];
  }
  exec({ text }: { text: string }) {
    if (text === "!") return "😀".repeat(LARGE);
    return text + this.field;
  }
  post(shared: Shared, _: unknown, results: string[]) {
    if (shared.kept === "shared") shared.kept = "😀".repeat((shared.size ?? 0) / 2);
    return shared.kept === "action" ? "€".repeat(shared.size ?? 0) : String(results.length);
  }
}

/** 😀 is two characters and four bytes: so many are 3 MB. */
const LARGE = 750_000;

class Huge extends ParallelBatchNode<Shared, NonIterableObject, number, string> {
  prep() {
    return [0, 1];
  }
  exec(number: number) {
    return number === 0 ? "" : "x".repeat(13 * 1024 * 1024);
  }
}

class HugeItem extends ParallelBatchNode<Shared, NonIterableObject, string> {
  prep() {
    return ["", "x".repeat(13 * 1024 * 1024)];
  }
}

class HugeShared extends Node<Shared> {
  post(shared: Shared) {
    shared.kept = "x".repeat(13 * 1024 * 1024);
  }
}

class HandingBranches extends ParallelBatchFlow<Shared> {
  prep() {
    return [{ n: 0 }, { send() {} }];
  }
}

class NoBranches extends BatchFlow<Shared> {
  prep() {
    return { n: 0 } as never;
  }
}

class Pair extends ParallelBatchFlow<Shared> {
  prep() {
    return [{ n: 0 }, { n: 1 }];
  }
}

/** Keeps what cannot be kept in its branch's second hook. */
class SharingOne extends Node<Shared> {
  post(shared: Shared) {
    if (this._params.n === 1) shared.kept = { socket: new Socket() };
    else shared.size = 1;
  }
}

class One extends BatchFlow<Shared> {
  prep() {
    return [{}];
  }
}

class ConnectedLast extends Connected {
  prep() {
    if (this._params.n === 1) super.prep();
  }
}

/** Flows that ask for what cannot be, each by its name. */
export const mistakes = {
  greedy: () => new Flow(new Greedy()),
  "deeply greedy": () => new Flow(new DeeplyGreedy()),
  connected: () => new Flow(new Connected()),
  remembering: () => new Flow(new Remembering()),
  sharing: () => new Flow(new Sharing()),
  handing: () => new Flow(new Handing()),
  returning: () => new Flow(new Returning({ maxRetries: 3 })),
  actions: () => new Flow(new Actions()),
  large: () => new Flow(new Large()),
  huge: () => new Flow(new Huge({ maxRetries: 3 })),
  "huge item": () => new Flow(new HugeItem()),
  "huge shared": () => new Flow(new HugeShared()),
  "handing branches": () => new Flow(new HandingBranches(new Node())),
  "no branches": () => new Flow(new NoBranches(new Node())),
  "connected branch": () => new Pair(new One(new ConnectedLast())),
  "sharing branch": () => new Pair(new SharingOne()),
  "made up": {
    flow: () => new Flow(new Node()),
    output: () => ({ send() {} }),
  },
};
