import { beforeEach, describe, expect, it } from "vitest";
import { killingFlows } from "./killing.ts";
import { newStage, type Stage } from "./stage.ts";
import { finished, start, storedOutput } from "./support.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});

const flows = Object.keys(killingFlows);
const cases = flows.flatMap((flow) => ["prep", "post"].map((hook) => [hook, flow]));

/** Runs a flow of which a hook ends the run's object so often, in branch 3 where there are branches. */
async function killed(flow: string, hook: string, times: number) {
  const branch = flow.includes("branch") ? { branch: 3 } : {};
  const { id } = await start(flow, { hook, times, ...branch, log: [] });
  return { ...(await finished(id)), branch: flow.includes("branch") ? "3" : "" };
}

describe("a hook that ends the run's object each time", () => {
  it.each(cases)("fails the run, by its name: %s of a flow %s", async (hook, flow) => {
    const { status, error, branch } = await killed(flow, hook, 100);
    expect(status).toBe("failed");
    expect(error?.message).toContain(`The run's object was lost 21 times during ${hook} of Killer`);
    expect(error).toMatchObject({ node: "Killer", branch });
    // More than once in a row only where others are stored in between.
    expect(stage.count("killer")).toBeGreaterThanOrEqual(21);
    expect(stage.count("killer")).toBeLessThan(50);
  });
});

describe("a hook that ends the run's object a few times", () => {
  it.each(cases)("runs in the end, and everything counts once: %s of a flow %s", async (hook, flow) => {
    const { id, status } = await killed(flow, hook, 5);
    expect(status).toBe("completed");
    const { log } = (await storedOutput(id)) as { log: string[] };
    expect(new Set(log).size).toBe(log.length);
    expect(stage.count("killer")).toBe(6);
  });
});
