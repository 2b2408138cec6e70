import { expect } from "vitest";
import { call, type Run } from "../durable/support.ts";

/** An event as a client gets it. */
export interface StreamEvent {
  event: string;
  id: number | null;
  data: unknown;
}

/** What an `emit` says. */
export interface Emitted {
  node: string;
  branch: string;
  index: number | null;
  at: string;
  data: unknown;
}

/** What an `item-failed` says. */
export interface FailedItem {
  node: string;
  branch: string;
  index: number;
  attempts: number;
  error: { name: string; message: string };
  at: string;
}

/** What a `done` says. */
export interface Done {
  status: string;
  run: Run | null;
}

/** The events that are kept, which have a number of their own. */
const LOG = ["emit", "item-failed"];
/** Those that say how the run is, to each client as much of it as that does not know yet. */
const STATES = ["snapshot", "step", "progress"];

export function getEvents(run: string, lastEventId?: number | string): Promise<Response> {
  const headers = lastEventId === undefined ? {} : { "last-event-id": String(lastEventId) };
  return call(`/runs/${run}/events`, { headers });
}

/** A client that follows a run. Whatever comes, it finds out whether that may come now. */
export class Follower {
  /** What has come so far. */
  readonly events: StreamEvent[] = [];
  /** The run, as all that has come so far says that it is. */
  run: Partial<Run>;
  /** What it would say when it comes again, as an `EventSource` does: the number that came last. */
  lastEventId: number;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";

  /** `lastEventId` and `run` are of a client that was there before. */
  constructor(body: ReadableStream<Uint8Array>, lastEventId = 0, run: Partial<Run> = {}) {
    this.#reader = body.getReader();
    this.lastEventId = lastEventId;
    this.run = run;
  }

  static async of(id: string, lastEventId?: number, run?: Partial<Run>): Promise<Follower> {
    const response = await getEvents(id, lastEventId);
    expect(response.status).toBe(200);
    return new Follower(response.body as ReadableStream<Uint8Array>, lastEventId, run);
  }

  /** The same client, come again. */
  again(): Promise<Follower> {
    return Follower.of(this.run.id as string, this.lastEventId, this.run);
  }

  /** What comes next, an event or a comment, as it is written; nothing where the stream has ended. */
  async block(): Promise<string | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end >= 0) return this.#take(end + 2);
      const { done, value } = await this.#reader.read();
      if (done) break;
      this.#text += this.#decoder.decode(value, { stream: true });
    }
    expect(this.#text).toBe("");
    return undefined;
  }

  async next(): Promise<StreamEvent | undefined> {
    for (;;) {
      const block = await this.block();
      if (block?.startsWith(":")) continue;
      return block === undefined ? undefined : this.#add(readEvent(block));
    }
  }

  /** Reads up to the emit that has this data. */
  async hears(data: unknown): Promise<StreamEvent> {
    for (;;) {
      const event = await this.#expectNext(JSON.stringify(data));
      if (event.event === "emit" && JSON.stringify((event.data as Emitted).data) === JSON.stringify(data)) return event;
    }
  }

  /** Reads until the run is, as far as that was told, as it is expected to be. */
  async sees(expected: object): Promise<void> {
    while (!isMatch(this.run, expected)) await this.#expectNext(JSON.stringify(expected));
  }

  /** Everything up to the end of the stream. */
  async all(): Promise<StreamEvent[]> {
    while (await this.next());
    return this.events;
  }

  /** What has come so far of what every client is told alike: the events that are kept, and the end. */
  get told(): StreamEvent[] {
    return this.events.filter(({ event }) => !STATES.includes(event));
  }

  /** The kept events among what has come so far. */
  get log(): StreamEvent[] {
    return this.events.filter(({ event }) => LOG.includes(event));
  }

  get emits(): Emitted[] {
    return this.#dataOf("emit") as Emitted[];
  }

  get failures(): FailedItem[] {
    return this.#dataOf("item-failed") as FailedItem[];
  }

  get steps(): Run["step"][] {
    return (this.#dataOf("step") as Pick<Run, "step">[]).map(({ step }) => step);
  }

  leave(): Promise<void> {
    return this.#reader.cancel();
  }

  #dataOf(name: string): unknown[] {
    return this.events.filter(({ event }) => event === name).map(({ data }) => data);
  }

  async #expectNext(wanted: string): Promise<StreamEvent> {
    const event = await this.next();
    if (event === undefined) throw new Error(`The stream ended without ${wanted}`);
    return event;
  }

  #add(event: StreamEvent): StreamEvent {
    expect(this.events.at(-1)?.event, "the last event").not.toBe("done");
    expect(event.event === "snapshot", "a snapshot comes first, and never again").toBe(this.events.length === 0);
    this.#count(event);
    this.#fold(event);
    this.events.push(event);
    return event;
  }

  /** Numbers only grow, also over what has been left out. What has none of its own names the one before. */
  #count({ event, id }: StreamEvent): void {
    if (LOG.includes(event)) {
      expect(id).toBeGreaterThan(this.lastEventId);
      this.lastEventId = id as number;
    } else expect(id, event).toBe(event === "done" ? null : this.lastEventId);
  }

  #fold({ event, data }: StreamEvent): void {
    if (LOG.includes(event)) return;
    const changes = event === "done" ? (data as Done).run : (data as Partial<Run>);
    const before: { [field: string]: unknown } = this.run;
    if (event === "done") expect((data as Done).status).toBe(changes?.status ?? "deleted");
    else {
      expect([...STATES, "done"]).toContain(event);
      expect(changes).not.toHaveProperty("output");
    }
    if (event === "step") expect(Object.keys(changes ?? {})).toEqual(["step"]);
    if (event === "progress") {
      expect(changes).not.toHaveProperty("step");
      expect(Object.keys(changes ?? {})).not.toHaveLength(0);
    }
    if (event === "step" || event === "progress") {
      for (const [field, value] of Object.entries(changes ?? {})) expect(value, field).not.toEqual(before[field]);
    }
    this.run = { ...this.run, ...changes };
    expectOnward(before, this.run);
  }

  #take(length: number): string {
    const block = this.#text.slice(0, length);
    this.#text = this.#text.slice(length);
    return block;
  }
}

/** What has been done stays done, but for a redrive, which may take it back. */
function expectOnward(before: Partial<Run>, after: Partial<Run>): void {
  if (before.redriveCount !== after.redriveCount) return;
  for (const field of ["executions", "executors"] as const) {
    expect(after[field], field).toBeGreaterThanOrEqual(before[field] as number);
  }
  expect(after.items?.succeeded).toBeGreaterThanOrEqual(before.items?.succeeded as number);
}

export function isMatch(run: object, expected: object): boolean {
  try {
    expect(run).toMatchObject(expected);
    return true;
  } catch {
    return false;
  }
}

/** A client that has followed a run to its end. */
export async function followed(run: string, lastEventId?: number): Promise<Follower> {
  const follower = await Follower.of(run, lastEventId);
  await follower.all();
  return follower;
}

/** What every client is told of a run, from an event on. */
export async function told(run: string, lastEventId?: number): Promise<StreamEvent[]> {
  return (await followed(run, lastEventId)).told;
}

/** What was emitted in a run, once it has ended. */
export async function emitsOf(run: string): Promise<Emitted[]> {
  return (await followed(run)).emits;
}

/** The items that have failed in a run, once it has ended. */
export async function failuresOf(run: string): Promise<FailedItem[]> {
  return (await followed(run)).failures;
}

/** Each field on a line of its own, as an EventSource reads them. */
function readEvent(block: string): StreamEvent {
  const lines = block.trimEnd().split("\n");
  const fields = new Map(lines.map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
  expect(fields.size, "one line for each field").toBe(lines.length);
  const id = fields.get("id");
  return {
    event: fields.get("event") ?? "",
    id: id === undefined ? null : Number(id),
    data: JSON.parse(fields.get("data") ?? ""),
  };
}
