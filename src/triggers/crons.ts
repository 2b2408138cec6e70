import type { CronState } from "../durable/index-entry.ts";
import type { Started } from "../durable/run.ts";
import { keyedRunId } from "../http/ids.ts";
import type { CronView } from "../http/routes.ts";
import type { Runs } from "../http/runs.ts";
import type { Starter } from "../http/starter.ts";
import type { Cron, CronTable } from "./cron-table.ts";

/** What is remembered of crons. */
export interface CronMemory {
  crons(): Promise<{ [name: string]: CronState }>;
  fired(name: string, scheduledMs: number, run: string): Promise<void>;
  skipped(name: string, scheduledMs: number): Promise<void>;
}

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
    const started = await this.#start(cron, nowMs, key === null ? null : `cron\n${cron.name}\n${key}`);
    await this.#memory.fired(cron.name, nowMs, started.view.id);
    return started;
  }

  async list(): Promise<CronView[]> {
    const known = await this.#memory.crons();
    return this.#table.all.map((cron) => this.#view(cron, known[cron.name]));
  }

  async #fire(cron: Cron, scheduledMs: number): Promise<void> {
    const key = `cron\n${cron.expression}\n${scheduledMs}`;
    const id = await keyedRunId(cron.flow, key);
    if (cron.overlap === "skip" && (await this.#isOverlapping(cron, scheduledMs, id))) {
      await this.#memory.skipped(cron.name, scheduledMs);
      console.log({ message: "A cron started no run: the one before goes on", cron: cron.name });
      return;
    }
    // Remembered first: whoever comes next asks that run, and a run that was never started is in nobody's way.
    await this.#memory.fired(cron.name, scheduledMs, id);
    await this.#start(cron, scheduledMs, key);
  }

  /** Whether the cron's last run goes on. Asked of the run itself: the list of runs may be late. */
  async #isOverlapping({ name }: Cron, scheduledMs: number, id: string): Promise<boolean> {
    const last = (await this.#memory.crons())[name];
    if (!last || last.lastRun === id) return false;
    if (last.skippedMs === scheduledMs) return true;
    const run = await this.#runs.call(last.lastRun, (run) => run.view());
    return run !== null && run.finishedAt === null;
  }

  async #start(cron: Cron, scheduledMs: number, key: string | null): Promise<Started> {
    const { flow, name } = cron;
    const input = await cron.input(scheduledMs);
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
