import { beforeEach, describe, expect, it } from "vitest";
import { newStage, type Stage } from "./stage.ts";
import { crash, finished, getRun, ran, rows, runOf, start, storedOutput } from "./support.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

const UNINTERRUPTED = {
  log: ["prep began", "prep ended", "post began", "post ended"],
  list: [1, 2, 10, 20],
};

/** So often in a row may a run's object be lost during hooks. */
const MOST_LOSSES = 20;

/** Loses the run's object in the middle of a hook, which then runs anew. */
async function loseIn(hook: string, id: string, times: number): Promise<void> {
  await stage.heard(hook);
  for (let begun = stage.count(hook); times > 0; times--) {
    await crash(runOf(id));
    await getRun(id);
    await stage.heard(hook, ++begun);
  }
}

describe("a hook that is interrupted", () => {
  it.each(["prep", "post"])("in the middle of %s runs again, and what it wrote counts once", async (hook) => {
    const { id } = await start("halting", { at: [hook], log: [], list: [1, 2] });
    await stage.heard(hook);
    await crash(runOf(id));
    const run = await finished(id);
    expect(run).toMatchObject({ status: "completed", executions: 2, output: UNINTERRUPTED });
    expect(stage.count(hook)).toBe(2);
  });

  it("in post does not execute anything again", async () => {
    const { id } = await start("halting", { at: ["post"], log: [], list: [1, 2] });
    await stage.heard("post");
    const before = await getRun(id);
    expect(before).toMatchObject({ step: { phase: "post" }, items: { succeeded: 2 }, executions: 2 });
    await crash(runOf(id));
    expect(await finished(id)).toMatchObject({ executions: 2, items: { total: 2, succeeded: 2 } });
  });

  it("between two pages of items begins its list anew", async () => {
    const { id } = await start("halting pages", { at: ["pages"], log: [], list: [] });
    await stage.heard("pages");
    expect(await rows(id, "select first from page")).toEqual([{ first: 0 }]);
    await crash(runOf(id));
    const run = await finished(id);
    expect(run.items).toMatchObject({ total: 2100, succeeded: 2100 });
    expect(await storedOutput(id)).toMatchObject({ list: Array.from({ length: 2100 }, (_, index) => index) });
    expect(await rows(id, "select first from page order by first")).toEqual(
      [0, 1000, 2000].map((first) => ({ first })),
    );
  });

  it("so often that it must be what ends the run's object fails, by its name", async () => {
    const { id } = await start("halting always", { at: [], log: [], list: [] });
    await loseIn("post", id, MOST_LOSSES);
    expect(await getRun(id)).toMatchObject({ status: "running" });
    await crash(runOf(id));
    const { status, error } = await finished(id);
    expect(status).toBe("failed");
    expect(error).toMatchObject({ node: "HaltingAlways", index: null });
    expect(error?.message).toContain("The run's object was lost 21 times during post of HaltingAlways");
  });

  it("often, and then ends and is stored, is not counted any more: the next one may be lost as often", async () => {
    const { id } = await start("halting at two", {});
    await loseIn("first", id, MOST_LOSSES);
    stage.open("first");
    await loseIn("second", id, MOST_LOSSES);
    stage.open("second");
    expect(await finished(id)).toMatchObject({ status: "completed", error: null, executions: 2 });
  });

  it("lets nobody see what it has half done: no item is handed out before prep has ended", async () => {
    const { id } = await start("halting", { at: ["prep"], log: [], list: [1, 2] });
    await stage.heard("prep");
    expect(await getRun(id)).toMatchObject({ step: { phase: "prep" }, items: { total: 0 }, executions: 0 });
    stage.open("prep");
    expect(await finished(id)).toMatchObject({ output: UNINTERRUPTED });
    expect(stage.count("prep")).toBe(1);
  });
});

describe("a run that is canceled during a hook", () => {
  it.each(["prep", "post"])("does not move when %s ends", async (hook) => {
    const { id } = await start("halting", { at: [hook], log: [], list: [1, 2] });
    await stage.heard(hook);
    await runOf(id).cancel();
    const before = await getRun(id);
    stage.open(hook);
    await stage.heard(`${hook} over`);
    expect(await getRun(id)).toEqual(before);
    expect(before).toMatchObject({ status: "canceled", output: null });
  });
});

describe("what a hook left behind", () => {
  it("is still the same object after the run's object was lost between prep and post", async () => {
    const { id } = await start("aliasing", { users: [{ name: "ada" }, { name: "alan" }] });
    await stage.heard("exec");
    await crash(runOf(id));
    stage.open("exec");
    const run = await finished(id);
    expect(run).toMatchObject({ status: "completed", executions: 2 });
    expect(await storedOutput(id)).toEqual({ users: [{ name: "ADA" }, { name: "ALAN" }], isSame: [true, true, true] });
  });

  it("on the node is still there in post after the run's object was lost", async () => {
    const { id } = await start("remembered", {});
    await stage.heard("exec");
    await crash(runOf(id));
    stage.open("exec");
    await finished(id);
    expect(await storedOutput(id)).toEqual({ found: { since: new Date(5), params: { style: "short", inner: 1 } } });
  });

  it("is not there at the node's next visit", async () => {
    const { output } = await ran(
      "fields set in prep reach exec and post, and are gone the next time, in the seed's spelling",
      { log: [] },
    );
    expect(output).toMatchObject({ log: ["prep undefined", "de1 0 de1", "prep undefined", "de3 0 de3"] });
  });
});
