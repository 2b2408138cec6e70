import { reset } from "cloudflare:test";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { keyedRunId } from "../../src/http/ids.ts";
import { plain } from "../core/spelling.ts";
import { type Comparable, comparable, type End, endInMemory, type Written } from "../durable/programs/ends.ts";
import { written } from "../durable/programs/index.ts";
import { table } from "../durable/programs/table.ts";
import { finished, post, storedOutput } from "../durable/support.ts";
import { Kill, kills } from "./kills.ts";

/** So many runs of a program at once. */
const WIDTH = 8;

const rows: string[][] = [];
afterEach(reset);
afterAll(() => console.log(table([["program", "commits", "kills before", "kills after", "verdict"], ...rows])));

describe("a run ends as in memory, whichever of its commits its object is lost at", () => {
  const programs = written.filter(({ spelling }) => spelling === plain.spelling);

  it.each(programs.map((program) => [program.sentence, program] as const))("%s", async (sentence, program) => {
    const inMemory = comparable(program, await endInMemory(program));
    const spared = new Kill("never", 0);
    const end = await endWith(program, spared);
    const [failure] = failureOf(() => expect(end, "without a kill").toStrictEqual(inMemory));
    const sweep = failure ? { failures: [failure], done: [0, 0] } : await sweepOver(program, spared.commits, inMemory);
    const { failures, done } = sweep;
    const verdict = failures.length === 0 ? "ok" : `${failures.length} differ`;
    rows.push([sentence, ...[spared.commits, ...done].map(String), verdict]);
    for (const failure of failures) throw failure;
    expect(Math.min(...done)).toBeGreaterThan(0);
  });
});

/** Runs a program again and again, each time with its object lost at another commit. */
async function sweepOver(program: Written, commits: number, inMemory: Comparable) {
  const numbers = Array.from({ length: commits }, (_, index) => index + 1);
  const planned = (["before", "after"] as const).map((when) => numbers.map((commit) => new Kill(when, commit)));
  const all = planned.flat();
  const ends = await mapAtOnce(all, (kill) => endWith(program, kill));
  const failures = all.flatMap(({ when, commit }, index) =>
    failureOf(() => expect(ends[index], `lost ${when} commit ${commit}`).toStrictEqual(inMemory)),
  );
  return { failures, done: planned.map((kills) => kills.filter(({ isDone }) => isDone).length) };
}

let started = 0;

/** Runs a program whose object is lost as planned. */
async function endWith(program: Written, kill: Kill): Promise<Comparable> {
  const key = String(++started);
  const id = await keyedRunId(program.name, key);
  kills.set(id, kill);
  const path = `/flows/${encodeURIComponent(program.name)}/runs`;
  const { status } = await post(path, program.input, { "idempotency-key": key });
  expect(status).toBe(202);
  return comparable(program, await endOf(id));
}

async function endOf(id: string): Promise<End> {
  const { status, action, error } = await finished(id);
  if (status !== "completed") return { error: { name: error?.name ?? "", message: error?.message ?? "" } };
  return { shared: await storedOutput(id), action };
}

async function mapAtOnce<T, R>(all: readonly T[], call: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = all.entries();
  const lane = async () => {
    for (const [index, one] of queue) results[index] = await call(one);
  };
  await Promise.all(Array.from({ length: WIDTH }, lane));
  return results;
}

function failureOf(check: () => void): unknown[] {
  try {
    check();
    return [];
  } catch (failure) {
    return [failure];
  }
}
