import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { ended, finish, type Run, readRun, start, unlessAnswered } from "./client.ts";
import { type Chance, chance } from "./seed.ts";
import { Site } from "./server.ts";
import { until } from "./until.ts";
import { Vendor } from "./vendor.ts";
import { CRON, HOOK_SECRET } from "./worker/doors.ts";

/** A run as the list has it. */
interface Listed {
  id: string;
  flow: string;
  status: string;
  createdAt: string;
}

const INPUT = { count: 1, ms: 0 };
const IS_OVER = ["completed", "failed", "canceled"];

async function open(): Promise<{ vendor: Vendor; site: Site; luck: Chance }> {
  const vendor = await Vendor.open();
  const site = new Site(vendor.url);
  await site.start();
  return { vendor, site, luck: chance() };
}

/** All pages of the list. */
async function list(url: string, limit = 50): Promise<Listed[]> {
  const all: Listed[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const response = await fetch(`${url}/runs?limit=${limit}${cursor && `&cursor=${cursor}`}`);
    expect(response.status).toBe(200);
    const page = (await response.json()) as { runs: Listed[]; cursor: string | null };
    all.push(...page.runs);
    ({ cursor } = page);
  }
  return all;
}

/** The list once it is as it should be. Only the list is asked: a look at a run would wake it, and it would tell of itself. */
function listOnce(url: string, what: string, isSo: (runs: Listed[]) => boolean): Promise<Listed[]> {
  const look = async () => {
    const runs = await list(url);
    return isSo(runs) ? runs : undefined;
  };
  return until(`the list is so that ${what}`, look, 60_000);
}

function idsOf(runs: readonly { id: string }[]): string[] {
  return runs.map(({ id }) => id).sort();
}

/** What the answers that arrived say. The rest may only be missing because of a kill. */
async function fulfilled<T>(answers: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(answers);
  for (const answer of settled) if (answer.status === "rejected") unlessAnswered(answer.reason);
  return settled.filter((answer) => answer.status === "fulfilled").map(({ value }) => value);
}

/** Resolves when so many answers have arrived: the sign for a kill, which the rest do not outrun. */
function arrived(count: number, answers: readonly Promise<unknown>[]): Promise<void> {
  let missing = count;
  return new Promise((resolve, reject) => {
    const arrive = () => --missing === 0 && resolve();
    for (const answer of answers) answer.then(arrive, reject);
  });
}

async function statusOf(url: string, id: string): Promise<number> {
  const response = await fetch(`${url}/runs/${id}`);
  await response.body?.cancel();
  return response.status;
}

/** From now on the index fails whatever runs tell it, until the server is killed. */
async function deafen({ url }: Site): Promise<void> {
  expect((await fetch(`${url}/test/deafen`, { method: "POST" })).status).toBe(204);
}

async function remove({ url }: Site, id: string): Promise<number> {
  return (await fetch(`${url}/runs/${id}`, { method: "DELETE" })).status;
}

test("of 200 starts between and during kills each that was acknowledged is listed, and ends", async () => {
  const { site, luck } = await open();
  const told = new Set<string>();
  const kinds = [
    { flow: "alone", input: { item: "quick", ms: 0 } },
    { flow: "alone", input: { item: "slow", ms: 300 } },
    { flow: "few", input: INPUT },
    { flow: "wide", input: { count: 6, ms: 150 } },
    // Half of its items wait for a second attempt.
    { flow: "hesitating", input: { count: 2, ms: 0 } },
  ];
  const startOne = async (at: number) => {
    const { flow, input } = kinds[at % kinds.length] as (typeof kinds)[number];
    told.add((await start(site.url, flow, input)).run.id);
  };
  for (let wave = 1; wave <= 4; wave++) {
    const starts = Array.from({ length: 50 }, (_, at) => startOne(at));
    // The last ones are left in peace.
    if (wave < 4) {
      await arrived(luck.between(1, 50), starts);
      await site.kill();
    }
    const { length } = await fulfilled(starts);
    if (wave < 4) await site.start();
    else expect(length).toBe(50);
  }
  const all = await listOnce(site.url, "all that was acknowledged is there and over", (runs) => {
    const ids = new Set(idsOf(runs));
    return [...told].every((id) => ids.has(id)) && runs.every(({ status }) => IS_OVER.includes(status));
  });
  console.log(`seed ${luck.seed}: of 200 starts ${told.size} were acknowledged, ${all.length} are listed`);
  expect(all.length).toBeLessThanOrEqual(200);
  expect(new Set(idsOf(all)).size).toBe(all.length);
  const times = all.map(({ createdAt }) => createdAt);
  expect(times).toEqual(times.toSorted().reverse());
  // Some were started in the same millisecond: a page may end between them.
  expect(await list(site.url, 2)).toEqual(all);
  // What is listed is there, and is as the list says.
  const runs = await Promise.all(all.map(({ id }) => readRun(site.url, id)));
  expect(runs).toMatchObject(all);
  expect(runs.filter(({ status }) => status !== "completed")).toEqual([]);
});

test("what the index of runs was not told before a kill it is told after it, though nobody asks", async () => {
  const { site } = await open();
  const finished = (count: number, key: string) =>
    Promise.all(Array.from({ length: count }, (_, at) => finish(site.url, "few", INPUT, `${key} ${at}`)));
  const deleted = idsOf(await finished(3, "deleted"));
  await listOnce(site.url, "they are over", (runs) => runs.filter(({ status }) => status === "completed").length === 3);
  await deafen(site);
  expect(await Promise.all(deleted.map((id) => remove(site, id)))).toEqual([204, 204, 204]);
  expect(await Promise.all(deleted.map((id) => statusOf(site.url, id)))).toEqual([404, 404, 404]);
  // The slow one ends when the others have had a heartbeat: what is left of theirs by then is for the index alone.
  const slow = finish(site.url, "alone", { item: "slow", ms: 4_500 }, "slow");
  const kept = [...(await finished(3, "kept")), await slow];
  const { run: begun } = await start(site.url, "wide", { count: 3, ms: 600 });
  expect(idsOf(await list(site.url))).toEqual(deleted);
  await site.kill();
  await site.start();
  const expected = idsOf([...kept, begun]);
  const isTold = (runs: Listed[]) =>
    idsOf(runs).join() === expected.join() && runs.every(({ status }) => status === "completed");
  await listOnce(site.url, "it is told of all ends", isTold);
  expect(await Promise.all(deleted.map((id) => statusOf(site.url, id)))).toEqual([404, 404, 404]);
});

test("200 starts with one key at once, cut off by a kill and repeated, are one run", async () => {
  const { site, luck } = await open();
  const startAll = () => Array.from({ length: 200 }, () => start(site.url, "few", { count: 3, ms: 50 }, "the one key"));
  const first = startAll();
  await arrived(luck.between(1, 200), first);
  await site.kill();
  const answered = await fulfilled(first);
  await site.start();
  const repeated = await Promise.all(startAll());
  const ids = new Set([...answered, ...repeated].map(({ run }) => run.id));
  const isReplayed = repeated.map(({ headers }) => headers.get("idempotent-replayed"));
  console.log(`${answered.length} of 200 were answered before the kill, with seed ${luck.seed}`);
  expect([...ids]).toHaveLength(1);
  expect(new Set(isReplayed)).toEqual(new Set(["true"]));
  const [id] = [...ids] as [string];
  expect(await ended(site.url, id)).toMatchObject({ status: "completed", items: { total: 3, succeeded: 3 } });
  expect(await listOnce(site.url, "it is over", ([run]) => run?.status === "completed")).toMatchObject([{ id }]);
});

/** A delivery, as a sender makes it with the library. */
interface Delivery {
  id?: string;
  secret?: string;
  at?: Date;
  /** What is sent in place of what was signed. */
  sent?: string;
}

function deliver(url: string, { id = "msg_1", secret = HOOK_SECRET, at = new Date(), sent }: Delivery = {}) {
  const body = JSON.stringify({ count: 2, ms: 20 });
  const headers = {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(secret).sign(id, at, body),
  };
  return fetch(`${url}/webhooks/orders`, { method: "POST", headers, body: sent ?? body });
}

test("a webhook delivered 50 times, 10 at once and with a kill among them, starts one run; a forged one starts none", async () => {
  const { site } = await open();
  const forged: Delivery[] = [
    { id: "msg_2", sent: '{"count":3,"ms":20}' },
    { id: "msg_3", at: new Date(Date.now() - 6 * 60_000) },
    { id: "msg_4", secret: `whsec_${Buffer.from("the secret of somebody else").toString("base64")}` },
  ];
  const refusals = async () =>
    (await Promise.all(forged.map((one) => deliver(site.url, one)))).map((one) => one.status);
  const ids: string[] = [];
  const deliverOnce = async () => {
    const response = await deliver(site.url);
    expect(response.status).toBe(202);
    ids.push(((await response.json()) as { run: Run }).run.id);
  };
  expect(await refusals()).toEqual([401, 401, 401]);
  for (let round = 1; round <= 5; round++) {
    const deliveries = Array.from({ length: 10 }, deliverOnce);
    if (round === 3) {
      await Promise.race(deliveries);
      await site.kill();
      const { length } = await fulfilled(deliveries);
      console.log(`${length} of ten deliveries were answered before the kill`);
      await site.start();
      // A sender that has no answer sends again.
      await Promise.all(Array.from({ length: 10 - length }, deliverOnce));
    } else await Promise.all(deliveries);
  }
  expect(ids).toHaveLength(50);
  expect(new Set(ids).size).toBe(1);
  expect(await refusals()).toEqual([401, 401, 401]);
  const [id] = ids as [string];
  const last = await ended(site.url, id);
  expect(last).toMatchObject({
    status: "completed",
    trigger: { type: "webhook", name: "orders" },
    items: { total: 2 },
  });
  expect(await listOnce(site.url, "it is over", ([run]) => run?.status === "completed")).toMatchObject([{ id }]);
});

test("a cron fired twice for one time, and again after a kill, starts one run", async () => {
  const { site } = await open();
  const [first, second] = ["2026-11-21T06:00:00.000Z", "2026-11-22T06:00:00.000Z"] as const;
  const fire = async (time: string) => {
    const query = new URLSearchParams({ cron: CRON, time: String(Date.parse(time)) });
    expect((await fetch(`${site.url}/test/scheduled?${query}`, { method: "POST" })).status).toBe(204);
  };
  const lastRun = async () => {
    const { crons } = (await (await fetch(`${site.url}/crons`)).json()) as { crons: [{ lastRun: string }] };
    return crons[0].lastRun;
  };
  await Promise.all([fire(first), fire(first)]);
  const firstRun = await lastRun();
  // Of these the first is answered, and the others are anywhere.
  const cutOff = Array.from({ length: 10 }, () => fire(second));
  await Promise.race(cutOff);
  const secondRun = await lastRun();
  await site.kill();
  const { length } = await fulfilled(cutOff);
  await site.start();
  await Promise.all([fire(first), fire(second), fire(second), fire(first)]);
  // The last run of all, and slow: by the time it is listed as over, every other one would be listed too.
  const last = await finish(site.url, "alone", { item: "last", ms: 1_000 }, "last");
  const isOver = (all: Listed[]) =>
    all.some(({ id }) => id === last.id) && all.every(({ status }) => status === "completed");
  const runs = (await listOnce(site.url, "all are over", isOver)).filter(({ id }) => id !== last.id);
  console.log(`${length} of ten were answered before the kill`);
  const trigger = { type: "cron", name: "daily" };
  expect(runs.map(({ id }) => id)).toEqual([secondRun, firstRun]);
  expect(runs).toMatchObject([{ trigger }, { trigger }]);
  const { crons } = (await (await fetch(`${site.url}/crons`)).json()) as { crons: object[] };
  expect(crons).toMatchObject([{ name: "daily", lastAt: second, lastRun: runs[0]?.id }]);
});

test("a run that was deleted stays so after a kill, and none is listed for ever that is not there", async () => {
  const { site, luck } = await open();
  const all = Array.from({ length: 20 }, (_, at) => finish(site.url, "few", INPUT, `key ${at}`));
  const ids = idsOf(await Promise.all(all));
  await listOnce(site.url, "all are over", (runs) => runs.length === 20);
  const deletions = ids.map(async (id) => {
    expect(await remove(site, id)).toBe(204);
    return id;
  });
  await arrived(luck.between(1, 20), deletions);
  await site.kill();
  const deleted = await fulfilled(deletions);
  await site.start();
  expect(idsOf(await list(site.url)).filter((id) => deleted.includes(id))).toEqual([]);
  expect(new Set(await Promise.all(deleted.map((id) => statusOf(site.url, id))))).toEqual(new Set([404]));
  const left = await until("what is listed is there, and what is there is listed", async () => {
    const there = await Promise.all(ids.map(async (id) => ({ id, status: await statusOf(site.url, id) })));
    const found = idsOf(there.filter(({ status }) => status === 200));
    return found.join() === idsOf(await list(site.url)).join() ? found : undefined;
  });
  console.log(`${deleted.length} of 20 deletions were answered before the kill, ${left.length} runs were left`);
  await Promise.all(left.map((id) => remove(site, id)));
  expect(await list(site.url)).toEqual([]);
});

/** The one database of a class's objects that is wanted: an object's own, or the one in which the local runtime keeps alarms. */
function databaseOf(state: string, className: string, isWanted: (name: string) => boolean): DatabaseSync {
  const folder = join(state, "do", `restart-${className}`);
  const names = readdirSync(folder).filter((name) => name.endsWith(".sqlite") && isWanted(name));
  expect(names).toHaveLength(1);
  return new DatabaseSync(join(folder, names[0] as string));
}

/** What the platform may do to a run: its alarm is gone, and that is long ago. The server must be dead. */
function loseAlarm(state: string, id: string): void {
  const alarms = databaseOf(state, "FlowRun", (name) => name === "metadata.sqlite");
  expect(alarms.prepare("delete from _cf_ALARM where actor_name = ?").run(id).changes).toBe(1);
  alarms.close();
  const index = databaseOf(state, "RunIndex", (name) => name !== "metadata.sqlite");
  const agoMs = 10 * 60_000;
  const update = index.prepare(
    "update entry set wake_ms = wake_ms - ?, wake_slot = wake_slot - 2 where id = ? and wake_ms is not null",
  );
  expect(update.run(agoMs, id).changes).toBe(1);
  index.close();
}

test("a run whose alarm was lost goes on once the clock has looked for such runs", async () => {
  const { vendor, site } = await open();
  const items = ["lost", "found"];
  const runs = await Promise.all(items.map(async (item) => (await start(site.url, "alone", { item, ms: 500 })).run.id));
  const [lost, found] = runs as [string, string];
  await listOnce(site.url, "both are there", ({ length }) => length === 2);
  await until("both are in exec", () => vendor.inFlight === 2);
  await site.kill();
  loseAlarm(site.state, lost);
  await site.start();
  // By then the other one would have been back as well.
  await listOnce(site.url, "the one with its alarm is over", (all) =>
    all.some(({ id, status }) => id === found && status === "completed"),
  );
  expect(vendor.callsOf("lost")).toHaveLength(1);
  const query = new URLSearchParams({ cron: "* * * * *", time: String(Date.now()) });
  expect((await fetch(`${site.url}/test/scheduled?${query}`, { method: "POST" })).status).toBe(204);
  await listOnce(site.url, "the lost one is over too", (all) => all.every(({ status }) => status === "completed"));
  expect(vendor.callsOf("lost")).toHaveLength(2);
  expect(await readRun(site.url, lost)).toMatchObject({ status: "completed" });
});
