import { type BaseNode, type ExecContext, Flow, Node, ParallelBatchNode } from "../../../src/index.ts";

// The flows that are killed. They run in memory too, over a vendor that is a function: what both give must be equal.

/** What the vendor answers: the same value each time it is asked, and the number of the call, which never comes twice. */
export interface Answer {
  value: string;
  call: number;
}

/** Asks the vendor about an item, which takes it `ms`. */
export type Ask = (item: string, ms: number, context: ExecContext) => Promise<Answer>;

export interface Batch {
  count: number;
  ms: number;
  answers?: string[];
}

interface Question {
  item: string;
  ms: number;
}

/** The vendor is asked about each item, once if nothing happens. */
class Asks extends ParallelBatchNode<Batch, Record<string, never>, Question, Answer> {
  private readonly ask: Ask;

  constructor(ask: Ask, concurrency: number, executor: "object" | "queue" = "object") {
    super({ concurrency, executor });
    this.ask = ask;
  }

  override prep({ count, ms }: Batch) {
    return Array.from({ length: count }, (_, index) => ({ item: `item ${index}`, ms }));
  }

  override exec({ item, ms }: Question, context?: ExecContext) {
    return this.ask(item, ms, context as ExecContext);
  }

  override post(shared: Batch, _: unknown, answers: Answer[]) {
    shared.answers = answers.map((answer) => answer.value);
  }
}

export interface Patients {
  /** For each item how long the vendor takes with it; the one at `poison` then ends the process it is in. */
  ms: number[];
  poison: number;
}

/** One item ends its executor each time. */
class Patient extends ParallelBatchNode<Patients, Record<string, never>, Question & { isPoison: boolean }, string> {
  private readonly ask: Ask;

  constructor(ask: Ask) {
    super({ concurrency: 20, maxRetries: 3 });
    this.ask = ask;
  }

  override prep({ ms: durations, poison }: Patients) {
    return durations.map((ms, index) => ({ item: `patient ${index}`, ms, isPoison: index === poison }));
  }

  override async exec({ item, ms, isPoison }: Question & { isPoison: boolean }, context?: ExecContext) {
    const { value } = await this.ask(item, ms, context as ExecContext);
    if (isPoison) fillMemory();
    return value;
  }
}

/** Ends the runtime: a string of half a gigabyte counts once a character of it has been looked up. */
function fillMemory(): never {
  const kept: string[] = [];
  for (;;) {
    const filled = "x".repeat(2 ** 29 - 32) + kept.length;
    filled.charCodeAt(1);
    kept.push(filled);
  }
}

export interface Trip {
  name: string;
  rounds: number;
  /** Every post leaves a word here: one that took effect twice would show. */
  log: string[];
  notes?: string[];
}

/** One item, and the start of the loop. */
class Depart extends Node<Trip, Record<string, never>, string, string> {
  private readonly ask: Ask;

  constructor(ask: Ask) {
    super({ maxRetries: 2, wait: 0.05 });
    this.ask = ask;
  }

  override prep({ name, log }: Trip) {
    return `${name} departs at ${log.length}`;
  }

  override async exec(item: string, context?: ExecContext) {
    return (await this.ask(item, 60, context as ExecContext)).value;
  }

  override post(shared: Trip, _: unknown, value: string) {
    shared.notes = [value];
    shared.log.push("depart");
  }
}

/** A batch whose items come bit by bit, and in which every third fails at its first attempt, after the vendor has answered. */
class Visit extends ParallelBatchNode<Trip, Record<string, never>, string, string> {
  private readonly ask: Ask;

  constructor(ask: Ask) {
    super({ concurrency: 7, perExecutor: 3, maxRetries: 3, wait: 0.1 });
    this.ask = ask;
  }

  override async *prep({ name, log }: Trip) {
    for (let place = 0; place < 15; place++) {
      if (place % 5 === 0) await pause(15);
      yield `${name} visits ${place} at ${log.length}`;
    }
  }

  override async exec(item: string, context?: ExecContext) {
    const { value } = await this.ask(item, 120, context as ExecContext);
    if (context?.attempt === 1 && Number(/visits (\d+)/.exec(item)?.[1]) % 3 === 0) throw new Error("closed today");
    return value;
  }

  override post(shared: Trip, _: unknown, values: string[]) {
    shared.notes?.push(...values);
    shared.log.push("visit");
  }
}

/** Suspends in prep, when the post before it is done, and in post, half way through its writes. */
class Rest extends Node<Trip> {
  override async prep() {
    await pause(30);
  }

  override async post(shared: Trip) {
    shared.log.push("lie down");
    await pause(30);
    shared.log.push("get up");
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

class Decide extends Node<Trip> {
  override post(shared: Trip) {
    shared.log.push(`round ${--shared.rounds} to go, ${shared.notes?.length} notes`);
    return shared.rounds > 0 ? "again" : "home";
  }
}

/** A loop around a nested flow. */
function trip(ask: Ask): Flow<Trip> {
  const visit = new Visit(ask);
  visit.next(new Rest());
  const depart = new Depart(ask);
  const decide = new Decide();
  depart.next(new Flow<Trip>(visit, { name: "day" })).next(decide);
  decide.on("again", depart);
  decide.end("home");
  return new Flow<Trip>(depart);
}

/** All flows by name, over one vendor. */
export function flows(ask: Ask): { [name: string]: () => BaseNode } {
  return {
    wide: () => new Flow(new Asks(ask, 100)),
    few: () => new Flow(new Asks(ask, 12)),
    queued: () => new Flow(new Asks(ask, 12, "queue")),
    poisoned: () => new Flow(new Patient(ask)),
    trip: () => trip(ask),
  };
}
