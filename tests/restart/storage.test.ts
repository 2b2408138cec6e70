import { basename } from "node:path";
import { expect, test } from "vitest";
import { isRunId, newRunId } from "../../src/http/ids.ts";
import { ended, startBatch } from "./client.ts";
import { databases, filesOf, isWiped } from "./disk.ts";
import { chance } from "./seed.ts";
import { Site } from "./server.ts";
import { until } from "./until.ts";
import { Vendor } from "./vendor.ts";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

test("asking for a thousand unknown runs leaves no database, and a finished run exactly one", async () => {
  const vendor = await Vendor.open();
  const site = new Site(vendor.url);
  const luck = chance();
  await site.start();

  // Ids that nobody was ever given: of the right length, of others, and no ids at all.
  const draw = (length: number): string => {
    const id = Array.from({ length }, () => ALPHABET[luck.between(0, 32)]).join("");
    // One in a million happens to be well-formed.
    return isRunId(id) ? draw(length) : id;
  };
  const madeUp = Array.from({ length: 900 }, (_, at) => draw(at < 700 ? 30 : luck.between(1, 60)));
  madeUp.push(...Array.from({ length: 50 }, (_, at) => encodeURIComponent(`../${draw(at)}'; drop table run; --`)));
  madeUp.push(...Array.from({ length: 50 }, () => newRunId().toLowerCase()));
  expect(await statuses(site.url, madeUp)).toEqual([404]);
  expect(filesOf(site.state, "FlowRun")).toEqual([]);

  // Ids as this package makes them: an object is asked, and the local runtime gives it a file.
  expect(await statuses(site.url, Array.from({ length: 50 }, newRunId))).toEqual([404]);

  const run = await startBatch(site.url, "wide", { count: 60, ms: 10 });
  await ended(site.url, run.id);
  await until("the executors have wiped their storage", () => isWiped(site.state, "Executor"));
  await site.kill();
  const ours = databases(site.state, "FlowRun").filter(({ tables }) => tables.length > 0);
  const executors = databases(site.state, "Executor");
  console.log(
    `seed ${luck.seed}: ${madeUp.length} made-up ids left no file; ${ours.length} database for the run, of its ${executors.length} executors none`,
  );
  expect(ours.map(({ file }) => basename(file))).toHaveLength(1);
  expect(ours[0]?.tables).toContain("item");
  expect(executors.length).toBeGreaterThan(1);
  expect(executors.filter(({ tables }) => tables.length > 0)).toEqual([]);
});

/** The different answers to a look at each of these runs and at its items. */
async function statuses(url: string, ids: string[]): Promise<number[]> {
  const found = new Set<number>();
  for (const [at, id] of ids.entries()) {
    const { status, body } = await fetch(`${url}/runs/${id}${at % 2 ? "/items" : ""}`);
    await body?.cancel();
    found.add(status);
  }
  return [...found];
}
