import * as v from "valibot";
import {
  type ExecContext,
  Flow,
  Node,
  type NonIterableObject,
  type Outcome,
  ParallelBatchFlow,
  ParallelBatchNode,
  type Signal,
  WaitForEvent,
} from "../../../../src/index.ts";
import { isHealed, pause, runOf, untilReleased } from "./held.ts";

// The flows that are looked at, and the secret of the webhook that starts one.

export const HOOK_SECRET = "whsec_UG9ja2V0RmxhcmUsIHRoZSBwYWdlJ3Mgc2VjcmV0";

const whole = v.pipe(v.number(), v.integer(), v.minValue(1));
const index = v.pipe(v.number(), v.integer(), v.minValue(0));

const summarizeInput = v.object({
  count: v.pipe(whole, v.description("How many tickets there are")),
  fail: v.optional(v.pipe(whole, v.description("Every so manieth is refused, until the vendor is healed"))),
  hold: v.optional(v.pipe(index, v.description("From this one on they wait to be released"))),
  ms: v.optional(v.pipe(v.number(), v.minValue(0), v.description("How long a call takes"))),
});

interface Summarized extends v.InferOutput<typeof summarizeInput> {
  tickets?: string[];
  summaries?: number;
}

interface Ticket {
  ticket: string;
  text: string;
  isRefused: boolean;
  isHeld: boolean;
  ms: number;
}

class LoadTickets extends Node<Summarized> {
  override post(shared: Summarized) {
    shared.tickets = Array.from({ length: shared.count }, (_, index) => `T-${1000 + index}`);
    this.emit(`${shared.count} tickets`);
  }
}

/** Calls of a vendor that refuses some, in two ways, until it is healed. */
class Summarize extends ParallelBatchNode<Summarized, NonIterableObject, Ticket, string> {
  constructor() {
    super({ maxRetries: 2, onItemError: "collect", limit: "llm", concurrency: 24 });
  }

  override prep({ tickets = [], fail = 0, hold = tickets.length, ms = 0 }: Summarized) {
    return tickets.map((ticket, index) => {
      const isRefused = fail > 0 && index % fail === fail - 1;
      return { ticket, text: `The invoice of ${ticket} came twice.`, isRefused, isHeld: index >= hold, ms };
    });
  }

  override async exec({ ticket, isRefused, isHeld, ms }: Ticket, context?: ExecContext) {
    const run = runOf(context as ExecContext);
    if (isHeld) await untilReleased(run, (context as ExecContext).signal);
    if (ms > 0) await pause(ms);
    if (isRefused && !isHealed(run)) {
      if (Number(ticket.slice(2)) % 4 === 3) throw new RangeError(`The vendor has no room for ${ticket}`);
      throw new Error(`The vendor answered 503 to ${ticket}`);
    }
    context?.settle(120);
    return `${ticket}: a double invoice`;
  }

  override post(shared: Summarized, _: unknown, outcomes: Outcome<string>[]) {
    shared.summaries = outcomes.filter(({ ok }) => ok).length;
  }
}

class Report extends Node<Summarized> {
  override post({ summaries }: Summarized) {
    this.emit(`${summaries} summaries`);
  }
}

function summarize(): Flow<Summarized> {
  const load = new LoadTickets();
  load.next(new Summarize()).next(new Report());
  return new Flow<Summarized>(load);
}

interface Huge {
  count: number;
  hold?: number;
  ms?: number;
}

interface Grain {
  index: number;
  isHeld: boolean;
  ms: number;
}

/** Very many items, a thousand to a call. */
class Sift extends ParallelBatchNode<Huge, NonIterableObject, Grain, number> {
  constructor() {
    super({ batchSize: 1_000, onItemError: "collect", concurrency: 4 });
  }

  override prep({ count, hold = count, ms = 0 }: Huge) {
    return Array.from({ length: count }, (_, index) => ({ index, isHeld: index >= hold, ms }));
  }

  override async execBatch(grains: Grain[], context?: ExecContext) {
    const { isHeld, ms } = grains.at(-1) as Grain;
    if (isHeld) await untilReleased(runOf(context as ExecContext), (context as ExecContext).signal);
    if (ms > 0) await pause(ms);
    return grains.map(({ index }) => (index % 997 === 0 ? new Error(`Grain ${index} is a stone`) : index));
  }

  override post() {}
}

interface Trip {
  rounds: number;
  places?: string[];
}

class Depart extends Node<Trip> {
  override post(shared: Trip) {
    shared.places ??= [];
  }
}

class Visit extends ParallelBatchNode<Trip, NonIterableObject, number, string> {
  override prep() {
    return [1, 2, 3, 4, 5, 6];
  }
  override exec(place: number) {
    return `place ${place}`;
  }
  override post(shared: Trip, _: unknown, places: string[]) {
    shared.places?.push(...places);
  }
}

class Rest extends Node<Trip> {}

type Look = { name: string };

class Photograph extends Node<Trip, Look, string, string> {
  override prep() {
    return this._params.name;
  }
  override exec(name: string) {
    return `photograph of ${name}`;
  }
}

class Album extends ParallelBatchFlow<Trip, Look> {
  override prep({ places = [] }: Trip) {
    return places.map((name) => ({ name }));
  }
}

class Decide extends Node<Trip> {
  override post(shared: Trip) {
    shared.rounds--;
    return shared.rounds > 0 ? "again" : "home";
  }
}

/** A loop around a nested flow and a batch of branches. */
function tour(): Flow<Trip> {
  const depart = new Depart();
  const visit = new Visit();
  const decide = new Decide();
  visit.next(new Rest());
  depart
    .next(new Flow<Trip>(visit, { name: "day" }))
    .next(new Album(new Photograph(), { name: "album" }))
    .next(decide);
  decide.on("again", depart).end("home");
  return new Flow<Trip>(depart);
}

interface Asked {
  decision?: unknown;
}

class Approval extends WaitForEvent<Asked, NonIterableObject, unknown> {
  override post(shared: Asked, _: string, signal: Signal | null) {
    shared.decision = signal?.payload ?? null;
  }
}

class Broken extends Node {
  override exec(): never {
    throw new Error("The bridge is out");
  }
}

export const flows = {
  summarize: { input: summarizeInput, flow: summarize },
  sift: () => new Flow<Huge>(new Sift()),
  tour,
  approve: () => new Flow<Asked>(new Approval("approval", { timeout: "1d" })),
  import: () => new Flow(new Broken()),
};
