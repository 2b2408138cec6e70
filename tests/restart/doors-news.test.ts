import { expect, test } from "vitest";
import { ended, type Run, readRun } from "./client.ts";
import { HELD, type Received, Receiver } from "./receiver.ts";
import { chance } from "./seed.ts";
import { Site } from "./server.ts";
import { until } from "./until.ts";
import { Vendor } from "./vendor.ts";
import { CALLBACK_SECRET, FAILING } from "./worker/doors.ts";

// What a run tells of itself: its events, and its callback.

interface StreamEvent {
  event: string;
  id: string | null;
  data: object;
}

/** What happened in a run, as opposed to how the run is. */
const KEPT = ["emit", "item-failed"];

async function open(): Promise<Site> {
  const site = new Site((await Vendor.open()).url);
  await site.start();
  return site;
}

async function begin(url: string, flow: string, input: object, headers: { [name: string]: string } = {}): Promise<Run> {
  const response = await fetch(`${url}/flows/${flow}/runs`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(input),
  });
  expect(response.status).toBe(202);
  return (await response.json()) as Run;
}

/** A client that comes back after each interruption with the number of the event that it had last. */
class Client {
  readonly events: StreamEvent[] = [];
  readonly #run: string;
  #lastId: string | null = null;

  constructor(run: string) {
    this.#run = run;
  }

  get kept(): StreamEvent[] {
    return this.events.filter(({ event }) => KEPT.includes(event));
  }

  get isDone(): boolean {
    return this.events.at(-1)?.event === "done";
  }

  /** The run's fields from all that came but the last word. */
  get folded(): object {
    const states = this.events.filter(({ event }) => ["snapshot", "step", "progress"].includes(event));
    return Object.assign({}, ...states.map(({ data }) => data));
  }

  /** Reads until it has enough, and hangs up; or as long as the server is there. */
  async follow(url: string, hasEnough: () => boolean): Promise<void> {
    const hangUp = new AbortController();
    try {
      const headers = this.#lastId === null ? {} : { "last-event-id": this.#lastId };
      const response = await fetch(`${url}/runs/${this.#run}/events`, { headers, signal: hangUp.signal });
      if (!response.ok) throw new Error(`Expected events, got ${response.status}: ${await response.text()}`);
      let text = "";
      for await (const words of (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
        const blocks = (text + words).split("\n\n");
        text = blocks.pop() as string;
        for (const block of blocks) {
          this.#hear(block);
          if (hasEnough()) return hangUp.abort();
        }
      }
    } catch (error) {
      // What is heard of a server that was killed.
      if (!/terminated|fetch failed/.test(String(error))) throw error;
    }
  }

  #hear(block: string): void {
    if (block.startsWith(":")) return;
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1] ?? null;
    const id = field("id");
    if (id !== null) this.#lastId = id;
    this.events.push({ event: field("event") as string, id, data: JSON.parse(field("data") as string) });
  }
}

function dataOf(events: readonly StreamEvent[], event: string): { index: number | null; data: unknown }[] {
  return events.filter((one) => one.event === event).map(({ data }) => data as { index: number; data: unknown });
}

test("a client that is cut off, by itself and by kills, has heard of everything once, and knows the run", async () => {
  const site = await open();
  const luck = chance();
  const count = 100;
  const { id } = await begin(site.url, "speech", { count, ms: 100 });
  const client = new Client(id);
  const [first, second, third, fourth] = luck.moments(4, 2, 60, 8) as [number, number, number, number];
  const heard = (moment: number) => () => client.kept.length >= moment;
  await client.follow(site.url, heard(first));
  // Cut off before anything new has come, it should come back to where it was.
  const known = client.events.length;
  await client.follow(site.url, () => client.events.length > known);
  await client.follow(site.url, heard(second));
  for (const moment of [third, fourth]) {
    const following = client.follow(site.url, () => client.isDone);
    await until(`${moment} events are heard`, heard(moment));
    await site.kill();
    await following;
    expect(client.isDone).toBe(false);
    await site.start();
  }
  await client.follow(site.url, () => client.isDone);
  const run = await ended(site.url, id);
  const done = client.events.at(-1);
  console.log(
    `seed ${luck.seed}: ${client.kept.length} events, cut off after ${first}, ${second}, ${third}, ${fourth}`,
  );
  expect(done).toMatchObject({ event: "done", data: { status: "completed", run } });
  expect({ ...client.folded, output: run.output }).toEqual(run);
  expect(client.events.filter(({ event }) => event === "snapshot")).toHaveLength(6);

  // Who comes late is told all that was committed: it is what the other one has heard, each once and in this order.
  const late = new Client(id);
  await late.follow(site.url, () => late.isDone);
  expect(client.kept).toEqual(late.kept);
  const failed = Array.from({ length: count / FAILING }, (_, at) => at * FAILING);
  const indexes = dataOf(client.kept, "item-failed").map(({ index }) => Number(index));
  expect(indexes.toSorted((a, b) => a - b)).toEqual(failed);
  const emitted = dataOf(client.kept, "emit");
  const byHooks = emitted.filter(({ index }) => index === null).map(({ data }) => data);
  expect(byHooks).toEqual(["begins", "ends", `${count - failed.length} said`]);
  expect(new Set(emitted.map(({ index }) => index)).size).toBe(count + 1);
});

interface WithCallback extends Run {
  callback: { deliveries: { id: string; status: string; tries: number; httpStatus: number | null }[] };
}

/** The run once its callback has been told. */
function toldOf(url: string, id: string): Promise<WithCallback> {
  return until(`the callback of run ${id} is told`, async () => {
    const run = (await readRun(url, id)) as WithCallback;
    return run.callback.deliveries[0]?.status === "delivered" ? run : undefined;
  });
}

test("a callback is told of its run's end, whenever the server is killed, and always with one id", async () => {
  const receiver = await Receiver.open(CALLBACK_SECRET);
  const site = await open();
  const ids = new Map<string, string>();
  const beginFor = async (path: string, ms: number) => {
    const { id } = await begin(site.url, "alone", { item: path, ms }, { callback: receiver.url + path });
    ids.set(path, id);
  };
  const taken = (path: string) => receiver.hasTaken(path);

  // Killed while one message waits for its answer, one was refused, and one has just been taken.
  receiver.answers["/refused"] = [500];
  receiver.answers["/held"] = [HELD];
  await beginFor("/refused", 0);
  await beginFor("/held", 0);
  await until("one message is refused", () => receiver.at("/refused")[0]?.answered === 500);
  await until("one message waits for its answer", () => receiver.at("/held").length > 0);
  await beginFor("/taken", 0);
  await until("one message is taken", () => taken("/taken"));
  await site.kill();
  expect(taken("/held")).toBe(false);
  await site.start();

  // Killed when some runs are about to end, or have just ended.
  const ending = Array.from({ length: 8 }, (_, at) => `/ending-${at}`);
  await Promise.all(ending.map((path, at) => beginFor(path, 40 + 2 * at)));
  await until("the first of them is told of", () => ending.some((path) => receiver.at(path).length > 0));
  await site.kill();
  const untold = ending.filter((path) => !taken(path));
  await site.start();

  // Nothing but its own alarm brings this one back.
  receiver.answers["/refused-in-peace"] = [500];
  await beginFor("/refused-in-peace", 0);

  // Nobody looks at the runs meanwhile: that would wake them.
  await until("every message is taken", () => [...ids.keys()].every(taken), 40_000);
  const ends = await Promise.all([...ids].map(async ([path, id]) => ({ path, run: await toldOf(site.url, id) })));
  console.log(
    `${untold.length} of 8 were not told before the kill; ${receiver.all.length} messages for ${ids.size} runs`,
  );
  expect(receiver.all.filter(({ isVerified }) => !isVerified)).toEqual([]);
  for (const { path, run } of ends) {
    expect(run.status).toBe("completed");
    const [delivery, ...others] = run.callback.deliveries;
    expect(others).toEqual([]);
    expect(delivery).toMatchObject({ status: "delivered", httpStatus: 204 });
    const messages = receiver.at(path);
    expect(new Set(messages.map(({ id }) => id))).toEqual(new Set([delivery?.id]));
    // What was told of once is what was stored, so it is told alike.
    expect(new Set(messages.map(({ body }) => body)).size, path).toBe(1);
    const { callback: _, ...told } = run;
    expect(JSON.parse((messages[0] as Received).body)).toMatchObject({ type: "run.completed", data: told });
  }
  expect(new Set(ends.map(({ run }) => run.callback.deliveries[0]?.id)).size).toBe(ids.size);
});
