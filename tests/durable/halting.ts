import { Flow, Node, type NonIterableObject, ParallelBatchNode } from "../../src/index.ts";
import { stage } from "./stage.ts";

export interface Halts {
  /** The hooks that halt in the middle, the first time they get there. */
  at: string[];
  log: string[];
  list: number[];
}

/** Waits for the test where shared says so, the first time that anybody gets there. */
export async function halt(name: string, { at }: Pick<Halts, "at">): Promise<void> {
  stage().say(name);
  if (at.includes(name) && stage().count(name) === 1) await stage().pass(name);
  stage().say(`${name} over`);
}

/** Writes to shared, halts, and writes again. */
class Halting extends ParallelBatchNode<Halts, NonIterableObject, number, number> {
  async prep(shared: Halts) {
    shared.log.push("prep began");
    await halt("prep", shared);
    shared.log.push("prep ended");
    return shared.list;
  }
  exec(number: number) {
    return 10 * number;
  }
  async post(shared: Halts, list: number[], results: number[]) {
    shared.log.push("post began");
    list.push(...results);
    await halt("post", shared);
    shared.log.push("post ended");
  }
}

/** Halts between two pages of items. */
class HaltingPages extends ParallelBatchNode<Halts, NonIterableObject, number, number> {
  async *prep(shared: Halts) {
    for (let index = 0; index < 1200; index++) yield index;
    await halt("pages", shared);
    for (let index = 1200; index < 2100; index++) yield index;
  }
  exec(number: number) {
    return number;
  }
  post(shared: Halts, _: number[], results: number[]) {
    shared.list = results;
  }
}

/** Never gets to the end of its post. */
class HaltingAlways extends Node<Halts> {
  async post() {
    stage().say("post");
    await stage().pass("never");
  }
}

/** Halts in its post until its gate is opened, at every visit. */
class HaltingAt extends Node<object> {
  async post() {
    stage().say(this._options.name ?? "");
    await stage().pass(this._options.name ?? "");
  }
}

function haltingAtTwo(): Flow {
  const first = new HaltingAt({ name: "first" });
  first.next(new HaltingAt({ name: "second" }));
  return new Flow(first);
}

interface Users {
  users: { name: string }[];
  isSame?: boolean[];
}

async function untilOpen<T>(value: T): Promise<T> {
  stage().say("exec");
  await stage().pass("exec");
  return value;
}

/** Its post changes shared through what prep returned, which is no list but holds parts of shared twice. */
class Aliasing extends Node<Users, NonIterableObject, { all: Users["users"]; last: Users["users"][0] }, string[]> {
  prep({ users }: Users) {
    return { all: users, last: users.at(-1) as Users["users"][0] };
  }
  exec({ all }: { all: Users["users"] }) {
    return untilOpen(all.map(({ name }) => name.toUpperCase()));
  }
  post(shared: Users, { all, last }: { all: Users["users"]; last: Users["users"][0] }, names: string[]) {
    for (const [index, name] of names.entries()) (all[index] as { name: string }).name = name;
    shared.isSame = [all === shared.users, last === shared.users[1], last === all[1]];
  }
}

class Remembered extends Node<{ found?: object }> {
  private since: Date | undefined;
  prep() {
    this.since = new Date(5);
    this._params.inner = 1;
  }
  exec() {
    return untilOpen(0);
  }
  post(shared: { found?: object }) {
    shared.found = { since: this.since, params: this._params };
  }
}

/** Flows that halt where a test wants to look at them, or to end them. */
export const haltingFlows = {
  halting: () => new Flow(new Halting()),
  "halting pages": () => new Flow(new HaltingPages({ concurrency: 64, perExecutor: 64 })),
  "halting always": () => new Flow(new HaltingAlways()),
  "halting at two": haltingAtTwo,
  aliasing: () => new Flow(new Aliasing()),
  remembered: () => new Flow(new Remembered()).setParams({ style: "short" }),
};
