import { beforeEach, describe, expect, it } from "vitest";
import { type Emitted, emitsOf, Follower, told } from "../http/follow.ts";
import { RUBBISH, type Speech, textFor, UNUSUAL } from "./emitting.ts";
import { newStage, type Stage } from "./stage.ts";
import { crash, getRun, ran, resultLines, runOf, start, storedOutput } from "./support.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

const speeches = (...all: string[][]): Speech[] => all.map((words) => ({ words }));

/** What was told, as `node [branch/index]: data`. */
const textOf = ({ node, branch, index, data }: Emitted) => `${node} [${branch}/${index}]: ${data}`;

const dataOf = (emits: Emitted[]) => emits.map(({ data }) => data);

/** What is kept of a run at this moment. */
async function keptNow(id: string): Promise<unknown[]> {
  const { emits } = (await runOf(id).emits(0, 0)) as { emits: { data: string }[] };
  return emits.map(({ data }) => JSON.parse(data));
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
    expect(await told(id)).toEqual(follower.events);
  });

  it("is not kept where the hook fails", async () => {
    const { id } = await ran("emitting, failing post", {});
    expect(dataOf(await emitsOf(id))).toEqual(["prep"]);
  });
});

describe("a run that emits much", () => {
  it("keeps the latest 1,000 of it, whose numbers say how many there were", async () => {
    const { id } = await ran("emitting many", { where: "hooks", count: 700, letters: 0 });
    const events = await told(id);
    const numbers = Array.from({ length: 1_400 }, (_, at) => [at + 1, (at % 700) + 1]);
    expect(events.slice(0, -1).map(({ id, data }) => [id, (data as Emitted).data])).toEqual(numbers.slice(400));
    expect(await told(id, 1_390)).toEqual(events.slice(-11));
    expect(await told(id, 7)).toEqual(events);
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
