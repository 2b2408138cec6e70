import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { decode } from "../../src/core/codec.ts";
import { Journal } from "../../src/core/journal.ts";
import { type HalfWritten, halfWritten, inputOf, NO_PAUSES } from "../durable/half-written.ts";
import { STEPS, type Stored, type StoredStep, tallyOf, tallyOfSteps } from "../durable/half-written-stored.ts";
import { ended, start } from "./client.ts";
import { filesOf } from "./disk.ts";
import { chance } from "./seed.ts";
import { Site } from "./server.ts";
import { until } from "./until.ts";
import { Vendor } from "./vendor.ts";
import { SLOW } from "./worker/half-written.ts";

const BRANCHES = 100;

/** What the hooks of the one run of a dead server left behind. */
function readStored(state: string): Stored {
  const [file, ...others] = filesOf(state, "FlowRun") as [string, ...string[]];
  expect(others).toEqual([]);
  const folder = mkdtempSync(join(tmpdir(), "pocketflare-copy-"));
  for (const end of ["", "-wal"]) if (existsSync(file + end)) copyFileSync(file + end, join(folder, `run${end}`));
  const database = new DatabaseSync(join(folder, "run"));
  try {
    return { shared: sharedIn(database), steps: database.prepare(STEPS).all() as unknown as StoredStep[] };
  } finally {
    database.close();
    rmSync(folder, { recursive: true });
  }
}

function sharedIn(database: DatabaseSync): HalfWritten {
  const bodies = (sql: string, ...of: string[]) =>
    database
      .prepare(sql)
      .all(...of)
      .map(({ body }) => String(body));
  const longText = (owner: string) =>
    bodies("select body from long_text where owner = ? order by part", owner).join("");
  const entries = bodies("select coalesce(nullif(body, ''), 'journal/' || id) as body from journal order by id");
  const journal = Journal.read(
    longText("live"),
    entries.map((entry) => (entry.startsWith("journal/") ? longText(entry) : entry)),
  );
  return (journal.root as { shared: HalfWritten }).shared;
}

test("a hundred branches count once what they write before and after a wait, though the server is killed in between", async () => {
  const vendor = await Vendor.open();
  const site = new Site(vendor.url);
  const luck = chance();
  console.log(`seed ${luck.seed}`);
  await site.start();
  const { run } = await start(site.url, "half-written", inputOf(BRANCHES));
  let before = new Set<string>();
  const figures: number[] = [];

  /** Kills the server when it has come so far, and looks at what it left. */
  const killOnce = async (what: string, hasCome: (since: number) => boolean) => {
    const since = vendor.calls.length;
    await until(what, () => hasCome(since));
    await site.kill();
    const { shared, steps } = readStored(site.state);
    expect(tallyOf(shared)).toEqual(tallyOfSteps(steps));
    const stored = shared.ended ?? new Set();
    expect([...before].filter((word) => !stored.has(word))).toEqual([]);
    before = stored;
    figures.push(stored.size);
    await site.start();
  };
  /** That all branches have come to a hook, and all that wait for it are those that went on from there. */
  const areHeldBy = (word: string) => (since: number) => {
    const isOfHook = ({ item }: { item: string }) => item.startsWith(word.slice(0, word.lastIndexOf(" ")));
    return vendor.inFlight === 1 && vendor.calls.slice(since).filter(isOfHook).length === BRANCHES;
  };
  const afterCalls = (from: number, to: number) => {
    const count = luck.between(from, to);
    return (since: number) => vendor.calls.length >= since + count;
  };

  await killOnce("all wait for a slow prep", areHeldBy(SLOW.prep));
  // Begun by the flow's own prep within its turn, all hooks so far are stored together, or not at all.
  expect(before).toEqual(new Set());
  await killOnce("all wait for a slow post", areHeldBy(SLOW.post));
  await killOnce("some hooks are under way", afterCalls(1, BRANCHES));
  await killOnce("those are that wait for the slow post", afterCalls(BRANCHES + 1, BRANCHES + 40));
  await killOnce("some of those are again", afterCalls(1, 40));

  const last = await ended(site.url, run.id);
  expect(last, last.error?.message).toMatchObject({ status: "completed" });
  const inMemory = inputOf(BRANCHES);
  await halfWritten(NO_PAUSES).run(inMemory);
  expect(tallyOf(decode(last.output as string) as HalfWritten)).toEqual(tallyOf(inMemory));
  console.log(`${figures.join(", ")} hooks were stored at the kills; ${vendor.calls.length} were begun in all`);
});
