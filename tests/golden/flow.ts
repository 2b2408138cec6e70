import {
  type BranchEnd,
  type ExecContext,
  Flow,
  Node,
  NonRetryableError,
  type Outcome,
  ParallelBatchFlow,
  ParallelBatchNode,
} from "../../src/index.ts";

// THIS FILE MUST NEVER CHANGE: the fixtures beside it are runs of this flow, half way through, as each release has left them, and
// every later release must go on with them. What is to be tested in addition gets a flow, and fixtures, of its own.

/** What is around the flow: tests count calls in it, and the script that makes a fixture holds some of them. */
export interface World {
  /** Resolves when a call may go on. */
  call(place: string, attempt: number): Promise<void>;
  isBroken(place: string): boolean;
  /** Seconds until an item is tried again. */
  wait: number;
}

export interface Golden {
  users: { name: string }[];
  log: unknown[];
  since?: Date;
  byName?: Map<string, { name: string }>;
  tags?: Set<string>;
  /** The same object as one of the users. */
  first?: { name: string };
  collected?: string[];
  branches?: string[];
}

type Params = { n?: number };

/** Names an item: its node, its branch, its index. */
export function placeOf(node: string, branch: number | string | undefined, index: number): string {
  return `${node}:${branch ?? ""}:${index}`;
}

function told<T>(outcome: Outcome<T>, tell: (value: T) => string): string {
  return outcome.ok ? tell(outcome.value) : `${outcome.error.name}: ${outcome.error.message}`;
}

/** Leaves a date, a map, a set and an alias in shared, changes it through what prep returned, and goes round once. */
class Gather extends Node<Golden, Params, { all: { name: string }[]; place: string }, string[]> {
  private readonly world: World;
  private since: Date | undefined;
  constructor(world: World) {
    super({ name: "Gather" });
    this.world = world;
  }
  override prep({ users }: Golden) {
    this.since = new Date(Date.UTC(2026, 10, 23));
    return { all: users, place: placeOf("Gather", undefined, 0) };
  }
  override async exec({ all, place }: { all: { name: string }[]; place: string }, context?: ExecContext) {
    await this.world.call(place, context?.attempt ?? 1);
    context?.emit({ gathering: all.length });
    return all.map(({ name }) => name.toUpperCase());
  }
  override post(shared: Golden, { all }: { all: { name: string }[] }, names: string[]) {
    for (const [index, name] of names.entries()) (all[index] as { name: string }).name = name;
    shared.since = this.since as Date;
    shared.first = shared.users[0] as { name: string };
    shared.byName = new Map(shared.users.map((user) => [user.name, user]));
    shared.tags = new Set([...(shared.tags ?? []), `round ${shared.log.length}`]);
    shared.log.push({ isSame: all === shared.users, since: this.since });
    return shared.log.length < 2 ? "again" : "on";
  }
}

/** Its post sees an item that has failed, before which a checkpoint is kept. */
class Collect extends ParallelBatchNode<Golden, Params, string, string> {
  private readonly world: World;
  constructor(world: World) {
    super({ name: "Collect", onItemError: "collect", concurrency: 6 });
    this.world = world;
  }
  override prep() {
    return Array.from({ length: 8 }, (_, index) => placeOf("Collect", undefined, index));
  }
  override async exec(place: string, context?: ExecContext) {
    await this.world.call(place, context?.attempt ?? 1);
    if (this.world.isBroken(place)) throw new RangeError(`${place} is broken`);
    return `did ${place}`;
  }
  override post(shared: Golden, _: unknown, outcomes: Outcome<string>[]) {
    shared.collected = outcomes.map((outcome) => told(outcome, (value) => value));
    shared.log.push("collected");
  }
}

/** Six branches, three at a time, of which some may fail. */
class Branches extends ParallelBatchFlow<Golden, Params, Params[]> {
  override prep() {
    return Array.from({ length: 6 }, (_, n) => ({ n }));
  }
  override post(shared: Golden, _: Params[], outcomes: Outcome<BranchEnd>[]) {
    shared.branches = outcomes.map((outcome) => told(outcome, ({ result }) => String(result)));
    shared.log.push("branched");
  }
}

class Load extends Node<Golden, Params, string, string> {
  private readonly world: World;
  constructor(world: World) {
    super({ name: "Load" });
    this.world = world;
  }
  override prep() {
    return placeOf("Load", this._params.n, 0);
  }
  override async exec(place: string, context?: ExecContext) {
    await this.world.call(place, context?.attempt ?? 1);
    return `did ${place}`;
  }
  override post(shared: Golden, place: string) {
    if (this.world.isBroken(`post of ${place}`)) throw new Error(`the post of ${place} is broken`);
    shared.byName?.set(place, shared.first as { name: string });
  }
}

/** Of each branch's items the second must be tried twice. */
class Many extends ParallelBatchNode<Golden, Params, string, string> {
  private readonly world: World;
  constructor(world: World) {
    super({ name: "Many", tolerate: { count: 1 }, maxRetries: 2, wait: world.wait, concurrency: 4 });
    this.world = world;
  }
  override prep() {
    return Array.from({ length: 9 }, (_, index) => placeOf("Many", this._params.n, index));
  }
  override async exec(place: string, context?: ExecContext) {
    const { attempt } = context as ExecContext;
    await this.world.call(place, attempt);
    if (attempt === 1 && place.endsWith(":1")) throw new Error(`${place} is busy`);
    if (this.world.isBroken(place)) throw new NonRetryableError(`${place} is broken`);
    return `did ${place}`;
  }
  override post(shared: Golden, places: Iterable<string>, outcomes: Outcome<string>[]) {
    const values = outcomes.map((outcome) => told(outcome, (value) => value));
    shared.byName?.set(`many ${this._params.n}`, { name: values.join() });
    shared.tags?.add([...places].at(-1) as string);
  }
}

class Save extends Node<Golden, Params, string, string> {
  private readonly world: World;
  constructor(world: World) {
    super({ name: "Save" });
    this.world = world;
  }
  override prep() {
    return placeOf("Save", this._params.n, 0);
  }
  override async exec(place: string, context?: ExecContext) {
    await this.world.call(place, context?.attempt ?? 1);
    return `did ${place}`;
  }
}

class Last extends Node<Golden, Params, string, string> {
  private readonly world: World;
  constructor(world: World) {
    super({ name: "Last" });
    this.world = world;
  }
  override prep(shared: Golden) {
    return `${shared.first === shared.users[0]} ${shared.byName?.get("ADA") === shared.first}`;
  }
  override async exec(words: string, context?: ExecContext) {
    await this.world.call(placeOf("Last", undefined, 0), context?.attempt ?? 1);
    return words;
  }
  override post(shared: Golden, _: string, words: string) {
    shared.log.push(`aliases: ${words}`);
  }
}

export function golden(world: World): Flow<Golden> {
  const gather = new Gather(world);
  const collect = new Collect(world);
  const load = new Load(world);
  load.next(new Many(world)).next(new Save(world));
  const branches = new Branches(load, { name: "Branches", onItemError: "collect", concurrency: 3 });
  gather.on("again", gather).on("on", collect);
  collect.next(branches).next(new Last(world));
  return new Flow<Golden>(gather, { name: "Golden" });
}

export const INPUT: Golden = { users: [{ name: "ada" }, { name: "alan" }], log: [] };

/** What is broken until a redrive: an item of the main walk, one of a branch, and the post of another branch. */
export const BROKEN = [placeOf("Collect", undefined, 2), placeOf("Many", 3, 2), `post of ${placeOf("Load", 1, 0)}`];

/**
 * The calls that are held until the server is killed. By then branch 0 has ended, 1 has failed, 2 is at its first node, 3 in its
 * batch, 4 at its last node, and 5 has not begun.
 */
export const HELD = [
  placeOf("Load", 2, 0),
  ...[3, 4, 5, 6].map((index) => placeOf("Many", 3, index)),
  placeOf("Save", 4, 0),
];
