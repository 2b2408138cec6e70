import type { Started } from "../durable/answers.ts";
import type { CronState } from "../durable/index-entry.ts";
import { keyedRunId } from "../http/ids.ts";
import type { CronView } from "../http/routes.ts";
import type { Runs } from "../http/runs.ts";
import type { Starter } from "../http/starter.ts";
import type { Cron, CronTable } from "./cron-table.ts";

/** What is remembered of crons. */
export interface CronMemory {
  crons(): Promise<{ [name: string]: CronState }>;
  /** With `after` it is about to be started, if that was the last run. Returns whether it is remembered. */
  fired(name: string, scheduledMs: number, run: string, after?: string | null): Promise<boolean>;
  started(name: string, run: string): Promise<void>;
  skipped(name: string, scheduledMs: number): Promise<void>;
}

/** So soon a run is started that is about to be, or it never is: the Worker was lost in between. */
const CLAIM_MS = 30_000;

/** Starts runs by the clock. */
export class Crons {
  readonly #table: CronTable;
  readonly #starter: Starter;
  readonly #runs: Runs;
  readonly #memory: CronMemory;

  constructor(table: CronTable, starter: Starter, runs: Runs, memory: CronMemory) {
    this.#table = table;
    this.#starter = starter;
    this.#runs = runs;
    this.#memory = memory;
  }

  /** Starts what an expression stands for; nothing for one that is not in the table. Safe to repeat, at once or later. */
  async fire(expression: string, scheduledMs: number): Promise<void> {
    const fired = await Promise.allSettled(this.#table.of(expression).map((cron) => this.#fire(cron, scheduledMs)));
    const failed = fired.find(({ status }) => status === "rejected");
    // The platform repeats a handler that has thrown: what was started is found started then.
    if (failed) throw (failed as PromiseRejectedResult).reason;
  }

  get names(): string[] {
    return this.#table.all.map(({ name }) => name);
  }

  get mismatches(): readonly string[] {
    return this.#table.mismatches;
  }

  /** Starts a run now, whatever the clock says, and whatever else of the cron goes on. Nothing where there is no such cron. */
  async runNow(name: string, key: string | null): Promise<Started | null> {
    const cron = this.#table.named(name);
    if (!cron) return null;
    const nowMs = Date.now();
    const started = await this.#start(cron, await cron.input(nowMs), key === null ? null : `cron\n${name}\n${key}`);
    if (started.isNew) await this.#memory.fired(name, nowMs, started.view.id);
    return started;
  }

  async list(): Promise<CronView[]> {
    const known = await this.#memory.crons();
    return this.#table.all.map((cron) => this.#view(cron, known[cron.name]));
  }

  async #fire(cron: Cron, scheduledMs: number): Promise<void> {
    const { name, flow, expression, overlap } = cron;
    // Two crons may share an expression and a flow.
    const key = `cron\n${name}\n${expression}\n${scheduledMs}`;
    const id = await keyedRunId(flow, key);
    if (await this.#isThere(id)) return;
    const input = await cron.input(scheduledMs);
    if (overlap === "skip" && !(await this.#claim(name, scheduledMs, id))) {
      console.log({ message: "A cron started no run: the one before goes on", cron: name });
      return;
    }
    await this.#start(cron, input, key);
    if (overlap === "skip") await this.#memory.started(name, id);
    else await this.#memory.fired(name, scheduledMs, id);
  }

  /**
   * Remembers the run that is about to be started, unless the cron's last one goes on. Of several that are about to be started at
   * once only one finds the last run as it was, and the others ask again.
   */
  async #claim(name: string, scheduledMs: number, id: string): Promise<boolean> {
    for (;;) {
      const last = (await this.#memory.crons())[name];
      if (last?.lastRun === id) return true;
      if (last && (last.skippedMs === scheduledMs || (await this.#goesOn(last)))) {
        await this.#memory.skipped(name, scheduledMs);
        return false;
      }
      if (await this.#memory.fired(name, scheduledMs, id, last?.lastRun ?? null)) return true;
    }
  }

  /** Asked of the run itself: the list of runs may be late. One that was never started is in the way for a moment alone. */
  async #goesOn({ lastRun, claimedMs }: CronState): Promise<boolean> {
    const run = await this.#runs.call(lastRun, (run) => run.view());
    if (run !== null) return run.finishedAt === null;
    return claimedMs !== null && Date.now() < claimedMs + CLAIM_MS;
  }

  async #isThere(id: string): Promise<boolean> {
    return (await this.#runs.call(id, (run) => run.view())) !== null;
  }

  #start({ flow, name }: Cron, input: unknown, key: string | null): Promise<Started> {
    return this.#starter.start({ flow, input, key, trigger: { type: "cron", name }, callback: null });
  }

  #view(cron: Cron, known: CronState | undefined): CronView {
    const { name, expression, flow, overlap } = cron;
    return {
      ...{ name, cron: expression, flow, overlap },
      nextAt: iso(this.#table.nextMs(cron, Date.now())),
      lastAt: iso(known?.lastMs ?? null),
      lastRun: known?.lastRun ?? null,
      skippedAt: iso(known?.skippedMs ?? null),
    };
  }
}

function iso(timeMs: number | null): string | null {
  return timeMs === null ? null : new Date(timeMs).toISOString();
}
