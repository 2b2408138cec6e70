// Code as people write it for the npm package `pocketflow` 1.0.4. It is only type-checked: by tests/tsconfig.json against that
// package, and by the tsconfig.json beside it against this one, which is what changing only the import comes to.

import { BaseNode, BatchFlow, BatchNode, Flow, Node, ParallelBatchFlow, ParallelBatchNode } from "pocketflow";

/** What many hooks are declared to return. */
type Anything = ReturnType<typeof JSON.parse>;

interface Shared {
  question?: string;
  answers: string[];
  pages: Map<string, string>;
}

type Language = { language: string };

export class Ask extends Node<Shared, Language> {
  private readonly model: string;
  protected history: string[] = [];

  constructor(model = "small", maxRetries = 3, wait = 10) {
    super(maxRetries, wait);
    this.model = model;
  }

  async prep(shared: Shared): Promise<[string, number]> {
    this.history = shared.answers;
    return [shared.question ?? "", shared.answers.length];
  }

  async exec([question, count]: [string, number]): Promise<string> {
    const { language } = this._params;
    return `${this.model} ${question} ${count} ${language} attempt ${this.currentRetry + 1} of ${this.maxRetries}`;
  }

  async execFallback(prepRes: [string, number], error: Error): Promise<string> {
    return `${prepRes[0]}: ${error.message} after ${this.wait} s`;
  }

  async post(shared: Shared, prepRes: [string, number], execRes: string): Promise<string | undefined> {
    shared.answers.push(execRes);
    return prepRes[1] > 3 ? "enough" : undefined;
  }
}

export class AskTwice extends Ask {
  constructor() {
    super("large", 2);
  }

  async prep(shared: Shared): Promise<[string, number]> {
    const [question, count] = await super.prep(shared);
    return [question, count + 1];
  }

  async exec(prepRes: [string, number]): Promise<string> {
    return (await super.exec(prepRes)) + (await super.exec(prepRes));
  }

  async post(shared: Shared, prepRes: [string, number], execRes: string): Promise<string> {
    return (await super.post(shared, prepRes, execRes)) ?? "default";
  }
}

export class Untyped extends Node {
  async prep(): Promise<unknown> {
    return 1;
  }
  async exec(_prepRes: unknown): Promise<unknown> {
    return {};
  }
  async post(_shared: unknown, _prepRes: unknown, _execRes: unknown): Promise<string | undefined> {
    return "done";
  }
}

export class Loose extends Node<Anything> {
  async prep(shared: Anything): Promise<Anything> {
    return shared.whatever;
  }
  async exec(prepRes: Anything): Promise<Anything> {
    return prepRes.more;
  }
  async post(shared: Anything, prepRes: Anything, execRes: Anything): Promise<Anything> {
    shared.result = [prepRes, execRes];
    return "done";
  }
}

export class CallsDefaults extends Node<Shared> {
  async prep(shared: Shared): Promise<unknown> {
    return await super.prep(shared);
  }
  async exec(prepRes: unknown): Promise<unknown> {
    return await super.exec(prepRes);
  }
  async execFallback(prepRes: unknown, error: Error): Promise<unknown> {
    return await super.execFallback(prepRes, error);
  }
  async post(shared: Shared, prepRes: unknown, execRes: unknown): Promise<string | undefined> {
    await super.post(shared, prepRes, execRes);
    return undefined;
  }
  async _exec(prepRes: unknown): Promise<unknown> {
    return await super._exec(prepRes);
  }
  async _run(shared: Shared): Promise<string | undefined> {
    await super._run(shared);
    return undefined;
  }
  async run(shared: Shared): Promise<string | undefined> {
    return await super.run(shared);
  }
  clone(): this {
    return super.clone();
  }
  getNextNode(action?: string): BaseNode | undefined {
    return super.getNextNode(action);
  }
}

export class Bare extends BaseNode<Shared, Language> {
  protected async _exec(prepRes: unknown): Promise<unknown> {
    return [await super._exec(prepRes), this._params.language, this._successors.size];
  }
}

export class Lengths extends BatchNode<Shared> {
  async prep(shared: Shared): Promise<[string, string][]> {
    return [...shared.pages];
  }
  async exec([_name, text]: [string, string]): Promise<number> {
    return text.length;
  }
  async post(_shared: Shared, pages: [string, string][], lengths: number[]): Promise<string> {
    return lengths.length === pages.length ? "all" : "some";
  }
}

export class InChunks extends BatchNode<Shared> {
  async _exec(items: unknown[]): Promise<unknown[]> {
    const first = await super._exec(items.slice(0, 10));
    return first.concat(await super._exec(items.slice(10)));
  }
}

export class Summaries extends ParallelBatchNode<Shared, Language> {
  async prep(shared: Shared): Promise<string[]> {
    return [...shared.pages.values()];
  }
  async exec(text: string): Promise<string> {
    return `${this._params.language}: ${text}`;
  }
  async execFallback(text: string, error: Error): Promise<string> {
    throw new Error(`${text}: ${error.message}`);
  }
  async post(shared: Shared, _prepRes: string[], summaries: string[]): Promise<string | undefined> {
    shared.answers = summaries;
    return undefined;
  }
}

export class Main extends Flow<Shared> {
  constructor() {
    const ask = new Ask();
    ask.next(new Summaries(2, 1));
    super(ask);
  }
  async prep(shared: Shared): Promise<number> {
    return shared.answers.length;
  }
  async post(shared: Shared, before: number, _execRes: unknown): Promise<string | undefined> {
    return shared.answers.length > before ? "more" : undefined;
  }
  protected async _orchestrate(shared: Shared, params?: { [key: string]: unknown }): Promise<void> {
    await super._orchestrate(shared, params);
  }
}

type Page = { page: string };

export class EachPage extends BatchFlow<Shared, Language, Page[]> {
  async prep(shared: Shared): Promise<Page[]> {
    const inherited = await super.prep(shared);
    return [...inherited, ...[...shared.pages.keys()].map((page) => ({ page }))];
  }
  async post(shared: Shared, pages: Page[], _execRes: unknown): Promise<string | undefined> {
    return pages.length > shared.answers.length ? this._params.language : undefined;
  }
}

export class EachPageAtOnce extends ParallelBatchFlow<Shared, Language, Page[]> {
  async prep(shared: Shared): Promise<Page[]> {
    return [...shared.pages.keys()].map((page) => ({ page }));
  }
}

export class LooseFlow extends ParallelBatchFlow {
  async prep(): Promise<Anything> {
    return [{ any: 1 }];
  }
  async post(_shared: Anything, _prepRes: Anything, _execRes: string[]): Promise<Anything> {
    return "done";
  }
}

/** A base class of one's own, over any shared. */
export abstract class Logged<S extends { log: string[] }> extends Node<S> {
  abstract readonly title: string;
  async post(shared: S, prepRes: unknown, execRes: unknown): Promise<string | undefined> {
    shared.log.push(`${this.title} ${prepRes} ${execRes}`);
    return undefined;
  }
}

export class Import extends Logged<{ log: string[]; count: number }> {
  readonly title = "import";
}

export async function build(): Promise<string | undefined> {
  const ask = new Ask();
  const twice: AskTwice = ask.next(new AskTwice());
  const summaries: Summaries = twice.next(new Lengths(2)).next(new Summaries(5, 0.5));
  const same: Ask = ask.on("enough", summaries).on("again", ask).setParams({ language: "fr" });

  const untyped = new Untyped(2);
  untyped.execFallback = async (_prepRes, error) => error.message;
  const lengths = new Lengths();
  lengths.exec = async (page: [string, string]) => page[1].length;
  ask.execFallback = async (prepRes: [string, number], error: Error) => prepRes[0] + error.message;

  // Nodes over another shared than the flow's.
  const flow = new Flow<Shared>(new Import());
  flow.next(new Flow(same)).on("other", new Flow<{ other: boolean }>(untyped));
  new EachPage(new Flow(new EachPageAtOnce(new LooseFlow(new Loose())))).next(new Main());

  const all: BaseNode[] = [ask, untyped, lengths, flow, new Bare(), new EachPage(flow), new InChunks()];
  const byName = new Map<string, Node>([["calls", new CallsDefaults()]]);
  let current: Node<Shared> | undefined = new Ask();
  current = undefined;
  const start: BaseNode = flow.start;
  const next: BaseNode | undefined = start.getNextNode() ?? byName.get("calls")?.getNextNode("x");
  await Promise.all(all.map((node) => node.clone().run({ answers: [], pages: new Map() })));
  await next?.run(current);

  const shared: Shared = { answers: [], pages: new Map() };
  return flow
    .run(shared)
    .then((action) => action)
    .finally(() => shared.answers.length);
}

/** Anything that runs a node's hooks by hand, as unit tests of nodes do. */
export async function byHand(node: Node<Shared>, shared: Shared): Promise<string | undefined> {
  const prepRes: unknown = await node.prep(shared);
  const execRes: unknown = await node.exec(prepRes);
  const mended: unknown = await node.execFallback(prepRes, new Error("no"));
  const results: unknown[] = await new Lengths()._exec([["a", "b"]]);
  const action: string | undefined = await node.run(shared);
  await node.post(shared, prepRes, execRes ?? mended ?? results);
  return action;
}
