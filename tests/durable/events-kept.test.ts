import { beforeEach, describe, expect, it } from "vitest";
import type { Happened } from "../../src/durable/answers.ts";
import {
  type Emitted,
  emitsOf,
  type FailedItem,
  Follower,
  failuresOf,
  followed,
  isMatch,
  told,
} from "../http/follow.ts";
import { RUBBISH, type Speech, textFor, UNUSUAL } from "./emitting.ts";
import { newWorld, type World } from "./failing.ts";
import { newKey, seen } from "./limited.ts";
import { limitedTasks } from "./limited-flows.ts";
import { type Item, itemsOf, retry } from "./redriving.ts";
import { newStage, type Stage } from "./stage.ts";
import { crash, finished, getRun, ran, resultLines, runOf, start, storedOutput } from "./support.ts";

let stage: Stage;
let world: World;
beforeEach(() => {
  stage = newStage();
  world = newWorld();
});

/** No run is at this moment. */
const NO_PULSE = -1;
/** So long a call that is not answered at once would wait. */
const WAIT_MS = 8_000;

const speeches = (...all: string[][]): Speech[] => all.map((words) => ({ words }));

/** What comes after `news`, up to what is expected: in between it may be that the index has heard of the run. */
async function newsWith(id: string, news: Happened, expected: object): Promise<Happened> {
  const next = await newsOf(id, 0, news.pulse, WAIT_MS);
  return isMatch(next, expected) ? next : newsWith(id, next, expected);
}

/** What was told, as `node [branch/index]: data`. */
const textOf = ({ node, branch, index, data }: Emitted) => `${node} [${branch}/${index}]: ${data}`;

const dataOf = (emits: Emitted[]) => emits.map(({ data }) => data);

/** What is kept of a run at this moment. */
async function keptNow(id: string): Promise<unknown[]> {
  const { events } = await newsOf(id, 0, NO_PULSE, 0);
  return events.map((event) => (event.type === "emit" ? JSON.parse(event.data) : event));
}

async function newsOf(id: string, after: number, pulse: number, waitMs: number): Promise<Happened> {
  return (await runOf(id).follow(after, pulse, waitMs)) as Happened;
}

describe("what a durable run emits", () => {
  it("is kept in the order of its hooks and execs, with the item's index where exec tells it by its context", async () => {
    const { id } = await ran("emitting twice", { speeches: speeches(["one", "two"], [], ["three"]) });
    const each = (node: string) => [
      `${node} [/null]: prep begins`,
      `${node} [/null]: prep ends`,
      `${node} [/0]: one`,
      `${node} [/0]: two`,
      `${node} [/null]: 2`,
      `${node} [/2]: three`,
      `${node} [/null]: 1`,
      `${node} [/null]: post begins`,
      `${node} [/null]: post ends`,
    ];
    expect((await emitsOf(id)).map(textOf)).toEqual([...each("Talking"), ...each("Talking#2")]);
  });

  it("tells its branches apart, in each of which it is in order", async () => {
    const { id } = await ran("emitting in branches", { count: 5 });
    const emits = await emitsOf(id);
    expect(textOf(emits[0] as Emitted)).toBe("Branching [/null]: branches");
    expect(textOf(emits.at(-1) as Emitted)).toBe("Branching [/null]: joined");
    expect(emits).toHaveLength(17);
    for (let n = 0; n < 5; n++) {
      expect(emits.filter(({ branch }) => branch === `${n}`).map(textOf)).toEqual([
        `InBranch [${n}/null]: prep ${n}`,
        `InBranch [${n}/0]: exec ${n}`,
        `InBranch [${n}/null]: post ${n}`,
      ]);
    }
  });

  it("has the time at which it was kept, which never goes back", async () => {
    const { id, startedAt } = await ran("emitting", { speeches: speeches(["one"], ["two"]) });
    const times = [startedAt, ...(await emitsOf(id)).map(({ at }) => at)];
    expect(times).toEqual([...times].sort());
  });

  it.each([
    ["in an executor", "emitting"],
    ["by a queue's consumer", "emitting by queue"],
    ["where the run is", "emitting alone"],
  ])("is told while it is still in exec, %s", async (_, flow) => {
    const speech = { words: ["one", "two"], isGated: true };
    const { id } = await start(flow, { speeches: [speech, ...speeches([])] });
    const follower = await Follower.of(id);
    await follower.hears("one");
    stage.open("one");
    await follower.hears("two");
    expect(await keptNow(id)).toEqual(dataOf(follower.emits));
    stage.open("two");
    await follower.all();
    expect(dataOf(follower.emits).filter((data) => !String(data).includes("p"))).toEqual(["one", "two", 2]);
  });

  it("is told of every attempt, of those that fail as well", async () => {
    const { id } = await ran("emitting, failing", {});
    expect((await emitsOf(id)).map(textOf)).toEqual(["Failing [/0]: attempt 1", "Failing [/0]: attempt 2"]);
  });
});

describe("what a hook emits", () => {
  it("is told once what the hook did is stored, and no sooner", async () => {
    const { id } = await start("emitting", { speeches: speeches([]), at: ["prep", "post"] });
    const follower = await Follower.of(id);
    await stage.heard("prep");
    expect(await keptNow(id)).toEqual([]);
    stage.open("prep");
    await follower.hears("prep ends");
    await stage.heard("post");
    expect(await keptNow(id)).toEqual(["prep begins", "prep ends"]);
    stage.open("post");
    await follower.all();
    expect(dataOf(follower.emits)).toEqual(["prep begins", "prep ends", "post begins", "post ends"]);
  });

  it("is told once where the run was lost before that: the hook has never been", async () => {
    const { id } = await start("emitting", { speeches: speeches(["one"]), at: ["prep", "post"] });
    const follower = await Follower.of(id);
    for (const hook of ["prep", "post"]) {
      await stage.heard(hook);
      await crash(runOf(id));
      await getRun(id);
      await stage.heard(hook, 2);
    }
    await follower.all();
    expect(dataOf(follower.emits)).toEqual(["prep begins", "prep ends", "one", 1, "post begins", "post ends"]);
    expect(await told(id)).toEqual(follower.told);
  });

  it("is not kept where the hook fails", async () => {
    const { id } = await ran("emitting, failing post", {});
    expect(dataOf(await emitsOf(id))).toEqual(["prep"]);
  });
});

describe("a run that emits much", () => {
  it("keeps the latest 1,000 of it, whose numbers say how many there were", async () => {
    const { id } = await ran("emitting many", { where: "hooks", count: 700, letters: 0 });
    const [events, late, early] = await Promise.all([told(id), told(id, 1_390), told(id, 7)]);
    const numbers = Array.from({ length: 1_400 }, (_, at) => [at + 1, (at % 700) + 1]);
    expect(events.slice(0, -1).map(({ id, data }) => [id, (data as Emitted).data])).toEqual(numbers.slice(400));
    expect(late).toEqual(events.slice(-11));
    expect(early).toEqual(events);
  });

  it("keeps the latest 1,000 where one hook alone emits more", async () => {
    const { id } = await ran("emitting many", { where: "prep", count: 1_250, letters: 0 });
    expect(dataOf(await emitsOf(id))).toEqual(Array.from({ length: 1_000 }, (_, at) => 251 + at));
  });

  it("keeps the latest 100 of what an exec emits at once", async () => {
    const { id } = await ran("emitting many", { where: "exec", count: 1_250, letters: 0 });
    expect(dataOf(await emitsOf(id))).toEqual(Array.from({ length: 100 }, (_, at) => 1_151 + at));
  });

  it("goes on where that is long, and all of it is told", async () => {
    const { id, status } = await ran("emitting many", { where: "prep", count: 400, letters: 7_900 });
    expect(status).toBe("completed");
    expect(dataOf(await emitsOf(id))).toEqual(Array.from({ length: 400 }, (_, at) => textFor(at + 1, 7_900)));
  });
});

/** What was told, as `node [branch/index]: attempts`. */
const failureText = ({ node, branch, index, attempts }: FailedItem) => `${node} [${branch}/${index}]: ${attempts}`;

describe("an item that has failed", () => {
  it("is kept as it failed, and when", async () => {
    world.broken.add(2);
    const { id, startedAt, finishedAt } = await ran("collecting", { count: 4 });
    const [event, ...others] = await failuresOf(id);
    expect(others).toEqual([]);
    const { at = "", ...failure } = event ?? {};
    expect(failure).toEqual({
      ...{ node: "Collecting", branch: "", index: 2, attempts: 1 },
      error: { name: "Error", message: "item 2 is broken" },
    });
    const [item] = (await itemsOf(id, "&status=failed")) as (Item & { finishedAt: string })[];
    expect(item).toMatchObject(failure);
    const times = [startedAt, item?.finishedAt, at, finishedAt];
    expect(times).toEqual([...times].sort());
  });

  it("is told once it has no attempts left, and not before", async () => {
    const tries = [1, 2, 0, 2].map((failures, n) => ({ word: `word ${n}`, failures }));
    stage.open(...tries.map(({ word }) => word));
    const { id } = await ran("emitting, collecting", { tries });
    expect((await failuresOf(id)).map(failureText).sort()).toEqual(["Trying [/1]: 2", "Trying [/3]: 2"]);
    world.broken.add(0);
    const retried = await ran("collecting, retried", { count: 2 });
    expect((await failuresOf(retried.id)).map(failureText)).toEqual(["Collecting [/0]: 3"]);
  });

  it("is not told where it waits for its next attempt", async () => {
    world.broken.add(0);
    const { id } = await start("collecting, retried later", { count: 2 });
    await seen(id, { status: "waiting", items: { deferred: 1, succeeded: 1 } });
    expect(await keptNow(id)).toEqual([]);
  });

  it("is told while the others are in exec", async () => {
    world.broken.add(0);
    world.gated.add(1);
    const { id } = await start("collecting", { count: 2 });
    const follower = await Follower.of(id);
    await follower.sees({ items: { failed: 1 } });
    if (follower.failures.length === 0) await follower.next();
    expect(follower.failures.map(failureText)).toEqual(["Collecting [/0]: 1"]);
    expect((await getRun(id)).finishedAt).toBeNull();
    stage.open("item 1");
    await follower.all();
    expect(follower.failures).toHaveLength(1);
  });

  it("is told before the end of the run that fails with it", async () => {
    world.broken.add(1);
    for (const [flow, attempts] of [
      ["strict", 1],
      ["strict, retried", 3],
    ] as const) {
      const { id, error } = await ran(flow, { count: 3 });
      const { failures } = await followed(id);
      expect(failures).toMatchObject([{ node: "Strict", branch: "", index: 1, attempts, error: {} }]);
      expect(error).toMatchObject({ ...failures[0]?.error, index: 1, attempts });
    }
  });

  it("is told with its branch, of a plain node and of a batch", async () => {
    world.broken.add(2).add(11);
    const plain = await ran("collecting branches", { count: 4 });
    expect((await failuresOf(plain.id)).map(failureText)).toEqual(["Load [2/0]: 1"]);
    const batch = await ran("collecting in branches", { branches: 3, items: 3, lists: {}, tails: {}, ends: 0 });
    expect((await failuresOf(batch.id)).map(failureText).sort()).toEqual(["Many [0/2]: 1", "Many [1/1]: 1"]);
  });

  it("is told where it was never begun, for want of a permit that there will never be", async () => {
    const { id } = await ran("on counted", { tasks: limitedTasks(2, { key: newKey(), tokens: 2_000 }) });
    const [failure] = await failuresOf(id);
    expect(failure).toMatchObject({ node: "Limited", attempts: 0, error: { name: "LimitError" } });
  });

  it("is told with the beginning of a long name", async () => {
    stage.open("a");
    const { id } = await ran("emitting, collecting", { tries: [{ word: "a", failures: 2, name: "N".repeat(9_000) }] });
    expect((await failuresOf(id)).map(({ error }) => error.name)).toEqual(["N".repeat(1_000)]);
  });

  it("is told with the beginning of a long message", async () => {
    const messages = ["x".repeat(1_000), `${"y".repeat(1_000)}z`, "z".repeat(9_000)];
    const tries = messages.map((message, n) => ({ word: `${n}`, failures: 2, message }));
    stage.open("0", "1", "2");
    const { id } = await ran("emitting, collecting", { tries });
    const told = (await failuresOf(id)).sort((a, b) => a.index - b.index);
    expect(told.map(({ error }) => error.message)).toEqual(messages.map((message) => message.slice(0, 1_000)));
  });

  it("is one of the latest 1,000 that are kept, and the run goes on", async () => {
    for (let n = 0; n < 1_500; n++) world.broken.add(n);
    const { id, ...run } = await ran("collecting", { count: 1_500 });
    expect(run).toMatchObject({ status: "completed", items: { failed: 1_500, succeeded: 1 } });
    const { log, failures } = await followed(id);
    expect(log.map((event) => event.id)).toEqual(Array.from({ length: 1_000 }, (_, at) => 501 + at));
    expect(new Set(failures.map(({ index }) => index)).size).toBe(1_000);
  });

  it("and fails in a redrive once more is told once more; one that succeeds then is not", async () => {
    world.broken.add(0).add(3);
    const { id } = await ran("strict", { count: 4 });
    const before = await followed(id);
    world.broken.delete(0);
    await retry(id);
    await finished(id);
    const after = await before.again();
    await after.all();
    expect(after.failures.map(failureText)).toEqual(["Strict [/3]: 1"]);
    expect([...before.log, ...after.log].map((event) => event.id)).toEqual(
      Array.from({ length: before.log.length + 1 }, (_, at) => at + 1),
    );
  });
});

describe("the events of a run, as its object answers", () => {
  it("come a hundred at once, and the next hundred after those", async () => {
    const { id } = await ran("emitting many", { where: "prep", count: 250, letters: 0 });
    const pages: number[][] = [];
    for (let last = 0; last < 250; ) {
      const { events, isFinished } = await newsOf(id, last, NO_PULSE, WAIT_MS);
      expect(isFinished).toBe(true);
      pages.push(events.map((event) => event.id));
      last = events.at(-1)?.id as number;
    }
    const numbers = Array.from({ length: 250 }, (_, at) => at + 1);
    expect(pages).toEqual([numbers.slice(0, 100), numbers.slice(100, 200), numbers.slice(200)]);
    const { log } = await followed(id);
    expect(log.map((event) => event.id)).toEqual(numbers);
  });

  it("come with the run where that is not as it was, and as soon as it is not", async () => {
    const sinceMs = Date.now();
    // Nothing happens to it for an hour but what the test does.
    const { id } = await start("single, retried later", { tasks: [{ n: 0, failures: 1 }] });
    await seen(id, { status: "waiting" });
    const first = await newsOf(id, 0, NO_PULSE, WAIT_MS);
    expect(first).toMatchObject({ events: [], run: { id, status: "waiting" }, isFinished: false });
    await runOf(id).signal({ id: "1", name: "any", body: "1", digest: null });
    const second = await newsWith(id, first, { run: { signals: [{ id: "1", name: "any" }] } });
    const third = newsWith(id, second, { run: { status: "paused" } });
    await runOf(id).pause();
    const paused = await third;
    await runOf(id).cancel();
    await newsWith(id, paused, { run: { status: "canceled" }, isFinished: true });
    expect(Date.now() - sinceMs).toBeLessThan(WAIT_MS);
  });

  it("come with the run once that was lost: no moment of a later life has the name of an earlier one", async () => {
    const { id } = await start("single, retried later", { tasks: [{ n: 0, failures: 1 }] });
    await seen(id, { status: "waiting" });
    const before = await newsOf(id, 0, NO_PULSE, WAIT_MS);
    await crash(runOf(id));
    await getRun(id);
    const after = await newsOf(id, 0, before.pulse, WAIT_MS);
    expect(after.run).toEqual(before.run);
    expect(after.pulse).toBeGreaterThan(before.pulse);
  });

  it("come without the run, as long after as was asked, where nothing has happened", async () => {
    const { id } = await start("single, retried later", { tasks: [{ n: 0, failures: 1 }] });
    let before = await newsOf(id, 0, NO_PULSE, WAIT_MS);
    for (;;) {
      const sinceMs = Date.now();
      const news = await newsOf(id, 0, before.pulse, 200);
      if (news.run !== null) before = news;
      else {
        expect(Date.now() - sinceMs).toBeGreaterThanOrEqual(199);
        expect(news).toEqual({ events: [], run: null, isFinished: false, pulse: before.pulse });
        break;
      }
    }
  });
});

describe("what cannot be kept", () => {
  it.each(Object.keys(RUBBISH))("as %s is left out, and the run goes on", async (what) => {
    const run = await ran("emitting anything", { what, isSilent: false });
    expect(run).toMatchObject({ status: "completed", action: "said", items: { succeeded: 1 }, executions: 1 });
    expect(dataOf(await emitsOf(run.id))).toEqual(Array(4).fill(["before", "after"]).flat());
  });

  it("as JSON has no word for is told as `JSON.stringify` would", async () => {
    const { id } = await ran("emitting anything", { what: "unusual", isSilent: false });
    const all = ["before", ...UNUSUAL.map(([, json]) => json), "after"];
    // As text: the runner cannot show half a surrogate pair.
    const textsOf = (data: unknown[]) => data.map((each) => JSON.stringify(each));
    expect(textsOf(dataOf(await emitsOf(id)))).toEqual(textsOf(Array(4).fill(all).flat()));
  });
});

describe("emit", () => {
  it.each([...Object.keys(RUBBISH), "unusual"])("changes nothing in what becomes of a run (%s)", async (what) => {
    const ends: unknown[] = [];
    for (const isSilent of [true, false]) {
      const { id, ...run } = await ran("emitting anything", { what, isSilent });
      const { status, action, error, items, executions } = run;
      const { result } = (await storedOutput(id)) as { result: unknown };
      ends.push({ status, action, error, items, executions, result, lines: await resultLines(id, "?node=Saying") });
    }
    expect(ends[1]).toEqual(ends[0]);
    expect(ends[0]).toMatchObject({ status: "completed", result: "result" });
  });
});
