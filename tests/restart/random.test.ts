import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { ended, start } from "./client.ts";
import { heldAtKill } from "./disk.ts";
import { inMemory } from "./memory.ts";
import { chance } from "./seed.ts";
import { Site } from "./server.ts";
import { until } from "./until.ts";
import { Vendor } from "./vendor.ts";

/** Of each server. An item that is in exec at five kills would rightly be taken for what ends its server. */
const KILLS = 4;
const ROUNDS = 4;
/** A visit of fifteen places, and three plain nodes. */
const ITEMS = ROUNDS * (15 + 3);

function journey(index: number) {
  return { name: `journey ${index}`, rounds: ROUNDS, log: [] };
}

test("loops, retries and a nested flow give what they give in memory, whenever their server is killed", async () => {
  // Two servers, each killed at moments of its own.
  await Promise.all([expectJourneys(), expectJourneys()]);
});

async function expectJourneys(): Promise<void> {
  const vendor = await Vendor.open();
  const site = new Site(vendor.url);
  const luck = chance();
  let held = 0;
  await site.start();
  for (let kill = 0; kill < KILLS; kill++) {
    // Two more runs each time, told or not: their keys make a repeated start harmless.
    const starts = [2 * kill, 2 * kill + 1].map((index) => begin(site, index).catch(() => undefined));
    // The moment of the kill is what chance decides here.
    await sleep(luck.between(0, 1_500));
    await site.kill();
    await Promise.all(starts);
    await until("the vendor has seen the connections close", () => vendor.inFlight === 0);
    held += heldAtKill(site.state);
    await site.start();
  }
  let executions = 0;
  for (let index = 0; index < 2 * KILLS; index++) {
    const { run } = await begin(site, index);
    const last = await ended(site.url, run.id);
    expect(last, `seed ${luck.seed}: ${last.error?.message}`).toMatchObject({
      status: "completed",
      output: await inMemory("trip", journey(index)),
    });
    expect(last.items).toMatchObject({ total: ITEMS, succeeded: ITEMS, failed: 0 });
    executions += last.executions;
  }
  // In each round five items of the visit fail once.
  const repeated = executions - 2 * KILLS * (ITEMS + ROUNDS * 5);
  console.log(
    `seed ${luck.seed}: ${2 * KILLS} runs, ${KILLS} kills, ${repeated} of ${executions} executions repeated, ${held} in flight at the kills`,
  );
  expect(repeated).toBeLessThanOrEqual(held);
}

function begin(site: Site, index: number) {
  return start(site.url, "trip", journey(index), `journey ${index}`);
}
