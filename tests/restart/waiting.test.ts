import { expect, test } from "vitest";
import { ended, type Run, readRun, start, unlessAnswered } from "./client.ts";
import { awake, memoryMb } from "./runtime.ts";
import { chance } from "./seed.ts";
import { Site } from "./server.ts";
import { until } from "./until.ts";
import type { Lives } from "./worker/waiting.ts";

const DAY = 86_400;
const NOBODY = "http://127.0.0.1:1";

async function open(): Promise<Site> {
  const site = new Site(NOBODY);
  await site.start();
  return site;
}

async function startOne(site: Site, flow: string, seconds = 0): Promise<string> {
  return (await start(site.url, flow, { seconds, got: [] })).run.id;
}

/** Sends a run one letter. It is the same one however often it is sent with its number. */
async function send(site: Site, id: string, number: number): Promise<number> {
  const response = await fetch(`${site.url}/runs/${id}/signals/letter`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": `letter ${number}` },
    body: JSON.stringify(number),
  });
  await response.body?.cancel();
  return response.status;
}

async function lives({ url }: Site): Promise<{ [run: string]: Lives }> {
  return (await fetch(`${url}/test/lives`)).json() as Promise<{ [run: string]: Lives }>;
}

/** Does something for each, a few at a time. Returns what came of it, in order. */
async function each<T, R>(all: readonly T[], act: (one: T, at: number) => Promise<R>): Promise<R[]> {
  const done: R[] = [];
  for (let from = 0; from < all.length; from += 20) {
    done.push(...(await Promise.all(all.slice(from, from + 20).map((one, at) => act(one, from + at)))));
  }
  return done;
}

/** How the list has the runs: that wakes none of them. */
async function listed({ url }: Site): Promise<{ [status: string]: number }> {
  const counts: { [status: string]: number } = {};
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page = (await (await fetch(`${url}/runs?limit=1000${cursor && `&cursor=${cursor}`}`)).json()) as {
      runs: Run[];
      cursor: string | null;
    };
    for (const { status } of page.runs) counts[status] = (counts[status] ?? 0) + 1;
    cursor = page.cursor;
  }
  return counts;
}

async function nobodyAwake(site: Site): Promise<void> {
  await until("no object of a run is in memory", () => awake(site).size === 0, 60_000);
}

test("what is sent is taken once, whatever is killed meanwhile, and who sleeps wakes", async () => {
  const site = await open();
  const luck = chance();
  const patient = await each(
    Array.from({ length: 40 }, (_, at) => at),
    () => startOne(site, "twice"),
  );
  const asleep = await each([0.2, 1, 2, 3, 4, 6, 8], (seconds) => startOne(site, "asleep", seconds));
  const told: number[] = [];
  for (const number of [1, 2]) {
    const acknowledged = await sendUntilKilled(site, patient, number, luck.between(1, patient.length - SENDERS));
    told.push(acknowledged.size);
    await site.start();
    // Who was told that it is kept sends nothing again, but for one.
    const again = patient.filter((id) => !acknowledged.has(id) || id === patient[0]);
    for (const id of again) expect(await send(site, id, number)).toBe(202);
  }
  const ends = await each([...patient, ...asleep], (id) => ended(site.url, id));
  expect(ends.map(({ output }) => (output as { got: unknown[] }).got)).toEqual([
    ...patient.map(() => [1, 2, "done"]),
    ...asleep.map(() => ["done"]),
  ]);
  console.log(`seed ${luck.seed}: of 40 signals ${told.join(", and then ")} were acknowledged before a kill`);
});

const SENDERS = 4;

/** Sends a letter to one run after the other, from several senders, until so many were acknowledged: then comes the kill. */
async function sendUntilKilled(site: Site, runs: string[], number: number, enough: number): Promise<Set<string>> {
  const left = [...runs];
  const acknowledged = new Set<string>();
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  const sendOn = async () => {
    for (let id = left.shift(); id !== undefined; id = left.shift()) {
      const status = await send(site, id, number).catch(unlessAnswered);
      if (status === undefined) return;
      expect(status).toBe(202);
      acknowledged.add(id);
      if (acknowledged.size === enough) resolve();
    }
  };
  const senders = Array.from({ length: SENDERS }, sendOn);
  await reached;
  await site.kill();
  await Promise.all(senders);
  return acknowledged;
}

test("a run that sleeps is woken by its alarm: the server was killed meanwhile, or its object was out of memory", async () => {
  const site = await open();
  const before = await each([1, 2], (seconds) => startOne(site, "asleep", seconds));
  const after = await startOne(site, "asleep", 25);
  await until("all wait", async () => (await listed(site)).waiting === 3);
  await site.kill();
  await site.start();
  // Nobody asks for a run: only the list, to which it tells of its end.
  await until("two have ended", async () => (await listed(site)).completed === 2, 60_000);
  await nobodyAwake(site);
  const [known] = [(await lives(site))[after]];
  expect(await listed(site)).toEqual({ completed: 2, waiting: 1 });
  await until("the last has ended", async () => (await listed(site)).completed === 3, 60_000);
  const woken = (await lives(site))[after] as Lives;
  expect(woken.made).toBe((known?.made ?? 0) + 1);
  expect(woken.rung).toBeGreaterThan(known?.rung ?? 0);
  for (const id of [...before, after]) expect((await readRun(site.url, id)).output).toMatchObject({ got: ["done"] });
});

/** So many runs that sleep, and as many that wait: `npm run soak` has a thousand in all. */
const MANY = process.env["VITE_SOAK"] ? 500 : 50;

test("of many runs that sleep or wait none is in memory, and each goes on when its signal comes", async () => {
  const [few, many] = await Promise.all([atRest(MANY / 10), atRest(MANY)]);
  const { site, patient, asleep, lasting } = many;
  console.log(
    `${MANY / 5} runs at rest: ${few.memory.toFixed(0)} MB after ${few.peak.toFixed(0)} when they began; ` +
      `${2 * MANY}: ${many.memory.toFixed(0)} MB after ${many.peak.toFixed(0)}; databases open: ${awake(site).size}`,
  );
  expect(many.memory / few.memory).toBeLessThan(1.15);
  // While one run is in memory and taken out of it again, nothing happens to all the others.
  const before = await lives(site);
  expect(await send(site, lasting, 1)).toBe(202);
  await until("it is in memory", () => awake(site).size === 1);
  await nobodyAwake(site);
  expect({ ...(await lives(site)), [lasting]: undefined }).toEqual({ ...before, [lasting]: undefined });
  // Each signal makes one object, which was in no memory.
  const runs = await each(patient, async (id, at) => {
    expect(await send(site, id, at)).toBe(202);
    return ended(site.url, id);
  });
  expect(runs.map(({ status, output }) => ({ status, got: (output as { got: unknown[] }).got }))).toEqual(
    patient.map((_, at) => ({ status: "completed", got: [at, "done"] })),
  );
  const made = await lives(site);
  expect(patient.map((id) => made[id]?.made)).toEqual(patient.map((id) => (before[id]?.made ?? 0) + 1));
  expect(asleep.map((id) => made[id])).toEqual(asleep.map((id) => before[id]));
  // Those that sleep were not touched by any of it.
  expect(await readRun(site.url, asleep[0] as string)).toMatchObject({ status: "waiting", items: { deferred: 1 } });
  await until("the list knows of all", async () => {
    const { completed, waiting } = await listed(site);
    return completed === patient.length && waiting === asleep.length + 1;
  });
  await nobodyAwake(site);
  console.log(`${MANY} signals later: ${memoryMb(site).toFixed(0)} MB`);
}, 300_000);

interface AtRest {
  site: Site;
  patient: string[];
  asleep: string[];
  /** One more that waits, for two letters. */
  lasting: string;
  /** What the runtime held when the last was started, and what one holds that has found them all at rest. */
  peak: number;
  memory: number;
}

/** A server with so many runs of each kind, none of which is in memory; and that has not begun any of them itself. */
async function atRest(count: number): Promise<AtRest> {
  const site = await open();
  const [patient, asleep]: [string[], string[]] = [[], []];
  await each(
    Array.from({ length: 2 * count }, (_, at) => at),
    async (at) => {
      if (at % 2 === 0) patient.push(await startOne(site, "patient"));
      else asleep.push(await startOne(site, "asleep", 100 * DAY));
    },
  );
  const lasting = await startOne(site, "twice");
  const peak = memoryMb(site);
  expect(awake(site).size).toBeGreaterThan(0);
  await until("all wait", async () => (await listed(site)).waiting === 2 * count + 1, 60_000);
  await nobodyAwake(site);
  // Each was made once, and has heard of no alarm but the last heartbeat.
  const known = Object.values(await lives(site));
  expect(known).toHaveLength(2 * count + 1);
  expect(known.filter(({ made, rung }) => made > 1 || rung > 1)).toEqual([]);
  await site.kill();
  await site.start();
  expect(await listed(site)).toEqual({ waiting: 2 * count + 1 });
  await nobodyAwake(site);
  return { site, patient, asleep, lasting, peak, memory: memoryMb(site) };
}
