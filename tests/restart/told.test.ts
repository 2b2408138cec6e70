import { expect, test } from "vitest";
import { ended, readRun, start } from "./client.ts";
import { inMemory } from "./memory.ts";
import { chance } from "./seed.ts";
import { Site } from "./server.ts";
import { Vendor } from "./vendor.ts";

const KILLS = 10;
const INPUT = { count: 5, ms: 20 };

test("what a client was told outlives a kill in the same moment", async () => {
  const vendor = await Vendor.open();
  const site = new Site(vendor.url);
  const luck = chance();
  const told = new Set<string>();
  const keyed = new Map<string, string>();
  await site.start();
  for (let kill = 1; kill <= KILLS; kill++) {
    const key = `key ${kill}`;
    // Several at once, one of them with a key; the first answer is the sign for the kill.
    const keyAt = luck.between(0, 4);
    const starts = Array.from({ length: 4 }, (_, at) => start(site.url, "few", INPUT, at === keyAt ? key : undefined));
    await Promise.race(starts);
    await site.kill();
    const answers = await Promise.allSettled(starts);
    for (const [at, answer] of answers.entries()) {
      if (answer.status === "rejected") continue;
      told.add(answer.value.run.id);
      if (at === keyAt) keyed.set(key, answer.value.run.id);
    }
    await site.start();
    for (const id of told) expect(await readRun(site.url, id)).toMatchObject({ id });
    const again = await start(site.url, "few", INPUT, key);
    told.add(again.run.id);
    // A start whose answer did not arrive may have been stored or not.
    if (!keyed.has(key)) continue;
    expect(again.run.id).toBe(keyed.get(key));
    expect(again.headers.get("idempotent-replayed")).toBe("true");
  }
  const output = await inMemory("few", INPUT);
  for (const id of told) expect(await ended(site.url, id)).toMatchObject({ status: "completed", output });
  console.log(`seed ${luck.seed}: ${told.size} runs told of before ${KILLS} kills, ${keyed.size} of them with a key`);
});
