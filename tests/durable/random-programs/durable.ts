import { Journal } from "../../../src/core/journal.ts";
import { JournalStore } from "../../../src/durable/journal-store.ts";
import { LongText } from "../../../src/durable/text.ts";
import { crash, executorOf, getRun, inRun, type Run, runOf, start, storedOutput } from "../support.ts";
import { type Kill, Kills } from "./kills.ts";
import type { End } from "./memory.ts";
import { inputOf, type Program, type Shared } from "./program.ts";
import { abortHere, play } from "./stage.ts";

/** What became of a durable run. */
export interface Outcome {
  end: End;
  /** `shared` as it was stored after each kill, and in the end. */
  stored: Shared[];
  /** How many kills there were. */
  kills: number;
}

/** Runs a program durable, with kills on its way. Throws if it has not ended after `deadlineMs`. */
export async function runDurable(program: Program, schedule: Kill[], deadlineMs: number): Promise<Outcome> {
  const kills = new Kills(schedule, abortHere);
  play(program, kills);
  const { id } = await start("random", inputOf(program));
  const stored: Shared[] = [];
  const killing = kills.strike(async (what) => {
    await (what === "run" ? crash(runOf(id)) : crashExecutors(id));
    // The object may be lost once more while it is looked at.
    await storedShared(id).then(
      (shared) => stored.push(shared),
      () => undefined,
    );
  });
  const run = await finishedInTime(id, deadlineMs).finally(() => kills.end());
  await killing;
  return { end: await endOf(run), stored: [...stored, await storedShared(id)], kills: kills.struck };
}

async function endOf({ id, action, error }: Run): Promise<End> {
  if (error !== null) return { error: { name: error.name, message: error.message } };
  return { shared: (await storedOutput(id)) as Shared, action };
}

function crashExecutors(id: string): Promise<unknown> {
  return Promise.all([0, 1, 2].map((slot) => crash(executorOf(id, slot))));
}

async function finishedInTime(id: string, deadlineMs: number): Promise<Run> {
  for (const deadline = Date.now() + deadlineMs; ; ) {
    // An object that is lost meanwhile breaks the call: the next look loads it anew.
    await runOf(id)
      .wait(deadline - Date.now())
      .catch(() => undefined);
    const run = await getRun(id);
    if (run.finishedAt !== null) return run;
    if (Date.now() >= deadline) throw new Error(`The run hangs: ${JSON.stringify(run)}`);
  }
}

/** `shared` as a run that lost its object now would find it. */
function storedShared(id: string): Promise<Shared> {
  return inRun(id, ({ sql }) => {
    const { snapshot, entries } = new JournalStore(sql, new LongText(sql)).read();
    return (Journal.read(snapshot, entries).root as { shared: Shared }).shared;
  });
}
