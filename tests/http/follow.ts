import { expect } from "vitest";
import { call } from "../durable/support.ts";

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

export function getEvents(run: string, lastEventId?: number | string): Promise<Response> {
  const headers = lastEventId === undefined ? {} : { "last-event-id": String(lastEventId) };
  return call(`/runs/${run}/events`, { headers });
}

/** A client that follows a run. */
export class Follower {
  /** What has come so far. */
  readonly events: StreamEvent[] = [];
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  static async of(run: string, lastEventId?: number): Promise<Follower> {
    const response = await getEvents(run, lastEventId);
    expect(response.status).toBe(200);
    return new Follower(response.body as ReadableStream<Uint8Array>);
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
      const event = await this.next();
      if (event === undefined) throw new Error(`The stream ended without ${JSON.stringify(data)}`);
      if (JSON.stringify((event.data as Emitted).data) === JSON.stringify(data)) return event;
    }
  }

  /** Everything up to the end of the stream. */
  async all(): Promise<StreamEvent[]> {
    while (await this.next());
    return this.events;
  }

  /** The emits among what has come so far. */
  get emits(): Emitted[] {
    return this.events.filter(({ event }) => event === "emit").map(({ data }) => data as Emitted);
  }

  leave(): Promise<void> {
    return this.#reader.cancel();
  }

  /** Numbers only grow, also over what has been left out. */
  #add(event: StreamEvent): StreamEvent {
    if (event.id !== null) expect(event.id).toBeGreaterThan(this.events.at(-1)?.id ?? 0);
    this.events.push(event);
    return event;
  }

  #take(length: number): string {
    const block = this.#text.slice(0, length);
    this.#text = this.#text.slice(length);
    return block;
  }
}

/** All that is told of a run from an event on. */
export async function told(run: string, lastEventId?: number): Promise<StreamEvent[]> {
  return (await Follower.of(run, lastEventId)).all();
}

/** What was emitted in a run, once it has ended. */
export async function emitsOf(run: string): Promise<Emitted[]> {
  const follower = await Follower.of(run);
  await follower.all();
  return follower.emits;
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
