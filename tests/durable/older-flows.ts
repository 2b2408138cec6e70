import { BatchNode, Flow, Node, type NonIterableObject, ParallelBatchNode } from "../../src/index.ts";
import { stage } from "./stage.ts";

/** What a run that an earlier version of the code has begun works on. */
export interface Older {
  users: { name: string }[];
  list: number[];
  log: unknown[];
}

type Users = Older["users"];

async function halt(gate: string): Promise<void> {
  stage().say(gate);
  await stage().pass(gate);
}

/** Its prep returns parts of shared, in an object that is none, and leaves a field for exec and post. */
class Gather extends Node<Older, NonIterableObject, { all: Users; last: Users[0] }, string[]> {
  private since: Date | undefined;
  prep({ users }: Older) {
    this.since = new Date(5);
    return { all: users, last: users.at(-1) as Users[0] };
  }
  async exec({ all }: { all: Users }) {
    await halt("gather");
    return all.map(({ name }) => `${name} since ${Number(this.since)}`);
  }
  post(shared: Older, { all, last }: { all: Users; last: Users[0] }, names: string[]) {
    for (const [index, name] of names.entries()) (all[index] as Users[0]).name = name;
    shared.log.push({ isSame: [all === shared.users, last === shared.users[1]], since: this.since });
    return "each";
  }
}

/** Its prep returns a list of shared, to which its post adds. */
class Each extends ParallelBatchNode<Older, NonIterableObject, number, number> {
  prep(shared: Older) {
    shared.log.push("each prep");
    return shared.list;
  }
  async exec(number: number) {
    if (number > 1) await halt("each");
    return 10 * number;
  }
  async post(shared: Older, list: number[], results: number[]) {
    shared.log.push("each post");
    await halt("each post");
    list.push(...results);
    return "done";
  }
}

class Inner extends Flow<Older> {
  async post(shared: Older, _: unknown, action: string) {
    await halt("inner post");
    shared.log.push(`inner ${action}`);
    return action;
  }
}

/** Fails at the first attempt of its second item, and is tried again. */
class Last extends BatchNode<Older, NonIterableObject, number, number> {
  prep() {
    return [1, 2, 3];
  }
  exec(number: number) {
    if (number === 2 && this.currentRetry === 0) throw new Error("not yet");
    return number + this.currentRetry;
  }
  post(shared: Older, _: unknown, results: number[]) {
    shared.log.push(results);
  }
}

function older(): Flow {
  const gather = new Gather();
  gather.on("each", new Each({ concurrency: 2 })).end("done");
  const inner = new Inner(gather);
  inner.on("done", new Last({ maxRetries: 2, wait: 0.02 }));
  return new Flow(inner);
}

export const olderFlows = { older };
