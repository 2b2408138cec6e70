import { isDeepStrictEqual } from "node:util";
import { expect, test } from "vitest";
import { plain, spellings } from "../core/spelling.ts";
import type { Written } from "../durable/programs/ends.ts";
import { programs, written } from "../durable/programs/index.ts";
import { table } from "../durable/programs/table.ts";
import { fastFolder } from "./folder.ts";
import { type Ends, endsInMemory, Runs } from "./programs.ts";
import { type Chance, chance } from "./seed.ts";
import { Site } from "./server.ts";
import { until } from "./until.ts";

/** Of each server. An item that is in exec at five kills would rightly be taken for what ends its server. */
const KILLS = 4;

test("every program ends the same in memory, in a durable run, and in one whose server is killed again and again", async () => {
  const luck = chance();
  const inMemory = await endsInMemory();
  const durable = await undisturbed();
  const killed = await killedAgainAndAgain(luck);
  const expected: Ends = new Map(
    written.map(({ name, sentence }) => [name, inMemory.get(`${sentence}, ${plain.spelling}`) as never]),
  );
  const differing = (ends: Ends) =>
    written.filter(({ name }) => !isDeepStrictEqual(ends.get(name), expected.get(name)));
  const modes = [inMemory, durable, killed.ends].map((ends) => ({ ends, differing: differing(ends) }));
  process.stdout.write(`seed ${luck.seed}\n${tableOf(modes, killed.kills)}`);
  for (const { name, fails } of written) expect(messageOf(inMemory, name), name).toBe(fails);
  for (const { ends, differing } of modes) {
    expect(pick(ends, differing), `seed ${luck.seed}`).toStrictEqual(pick(expected, differing));
    expect(differing.map(({ name }) => name)).toEqual([]);
  }
  const spared = written.filter(({ name }) => !killed.kills.has(name));
  expect(isMany(spared, written)).toBe(false);
}, 300_000);

/** All programs at once on one server that nobody disturbs. */
async function undisturbed(): Promise<Ends> {
  const { site, runs } = open(written);
  await site.start();
  await runs.attend();
  await site.close();
  return runs.ends;
}

/**
 * All programs of each spelling at once on a server of their own: each kill serves them all. A slow machine may end many of them
 * between two kills, so those that no kill found under way go to another server, until they are few.
 */
async function killedAgainAndAgain(luck: Chance): Promise<Pick<Runs, "ends" | "kills">> {
  const ends: Ends = new Map();
  const kills: Runs["kills"] = new Map();
  for (const { spelling } of spellings) {
    const all = written.filter((program) => program.spelling === spelling);
    for (let spared = all; isMany(spared, all); spared = spared.filter(({ name }) => !kills.has(name))) {
      const runs = await withKills(spared, luck);
      for (const [name, end] of runs.ends) ends.set(name, end);
      for (const [name, count] of runs.kills) kills.set(name, count);
    }
  }
  return { ends, kills };
}

function isMany(some: readonly Written[], all: readonly Written[]): boolean {
  return some.length >= all.length / 10;
}

async function withKills(some: readonly Written[], luck: Chance): Promise<Runs> {
  const { site, runs } = open(some);
  // Some kills come while runs are still being accepted, others while they end.
  const most = 2 * some.length;
  for (const moment of luck.moments(KILLS, most / 8, most - most / 8, most / 16)) {
    await site.start();
    runs.repeatWhatWasSpared();
    const attended = runs.attend();
    await until(`${moment} of ${most} starts and ends are heard of`, () => runs.progress >= moment);
    await runs.kill();
    await attended;
  }
  await site.start();
  await runs.attend();
  await site.close();
  return runs;
}

/** A server without a vendor, for these programs. */
function open(programs: readonly Written[]): { site: Site; runs: Runs } {
  const site = new Site("http://127.0.0.1:1", fastFolder());
  return { site, runs: new Runs(site, programs) };
}

function tableOf(modes: { differing: Written[] }[], kills: Runs["kills"]): string {
  const rows = Object.keys(programs).map((sentence) => {
    const verdicts = modes.map(({ differing }) =>
      differing.some((program) => program.sentence === sentence) ? "differs" : "ok",
    );
    const killed = spellings.map(({ spelling }) => kills.get(`${sentence}, ${spelling}`) ?? 0);
    return [sentence, ...verdicts, killed.join(" + ")];
  });
  return table([["program, in both spellings", "in memory", "durable", "with kills", "so many"], ...rows]);
}

function messageOf(ends: Ends, name: string): string | undefined {
  const end = ends.get(name)?.end;
  return end && "error" in end ? end.error.message : undefined;
}

function pick(ends: Ends, programs: Written[]): object {
  return Object.fromEntries(programs.map(({ name }) => [name, ends.get(name) ?? "did not end"]));
}
