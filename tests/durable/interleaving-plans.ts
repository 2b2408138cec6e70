import fc from "fast-check";
import { type Interleaved, type Job, type Kill, MOST_ATTEMPTS, type Moment, type Occurrence } from "./interleaving.ts";

/** What is to happen in a run. */
export interface Plan {
  jobs: Job[];
  kills: Kill[];
  /** When a client looks at it. */
  looks: Moment[];
  /** Calls that end then wait for what is asked of the run. */
  hold?: Moment | undefined;
}

/** A moment on a run's way, if all its items are executed. */
export function moment(jobs: readonly Job[]): fc.Arbitrary<Moment> {
  const [calls, hangs] = [callsOf(jobs), jobs.reduce((sum, job) => sum + job.hangs, 0)];
  const most = { commit: 5 + Math.ceil(calls / 3), start: calls, end: calls - hangs, hang: hangs, late: hangs };
  const some = (Object.keys(most) as Occurrence[]).filter((of) => most[of] > 0);
  return fc
    .constantFrom(...some)
    .chain((of) => fc.record({ of: fc.constant(of), count: whole(1, most[of]), since: fc.constant("start") }));
}

/** When something has just been asked of it. */
const near: fc.Arbitrary<Moment> = fc.record({
  of: fc.constantFrom<Occurrence>("commit", "commit", "end"),
  count: whole(0, 3),
  since: fc.constant("action"),
});

export function whole(min: number, max: number): fc.Arbitrary<number> {
  return fc.integer({ min, max });
}

function kills(jobs: readonly Job[], hows: readonly Kill["how"][]): fc.Arbitrary<Kill[]> {
  const at = fc.oneof(moment(jobs), near);
  const first = fc.record({ how: fc.constantFrom(...hows), at: moment(jobs) });
  const others = fc.record({ how: fc.constantFrom(...hows), at });
  const ofExecutor = fc.record({ how: fc.constant("executor" as const), at });
  return fc
    .tuple(fc.oneof({ weight: 3, arbitrary: first }, ofExecutor), fc.array(others, { maxLength: 2 }))
    .map((both) => both.flat());
}

interface JobOptions {
  ms?: number[];
  failures?: number[];
  hangs?: number[];
  stays?: boolean[];
  kills?: Kill["how"][];
}

type Arbitraries<T> = { [K in keyof T]: fc.Arbitrary<T[K]> };

/** Plans of which the items are so, with what else is to be in them. */
export function planned<T extends object>(
  options: JobOptions,
  more: (jobs: Job[]) => Arbitraries<T>,
): fc.Arbitrary<Plan & T> {
  const of = <T>(values: T[] | undefined, usual: T[]) => fc.constantFrom(...(values ?? usual));
  const job = fc.record({
    ms: of(options.ms, [0, 0, 1, 2, 5, 9]),
    hangs: of(options.hangs, [0]),
    failures: of(options.failures, [0, 0, 0, 1, 2]),
    stays: of(options.stays, [false]),
  });
  const jobs = fc
    .array(job, { minLength: 3, maxLength: 12, size: "max" })
    .map((some) => some.map((job, n): Job => ({ n, ...job })));
  return jobs.chain((jobs) => {
    const common: Arbitraries<Plan> = {
      jobs: fc.constant(jobs),
      kills: kills(jobs, options.kills ?? ["undone", "stored", "run"]),
      looks: fc.array(fc.oneof(moment(jobs), near), { maxLength: 4 }),
    };
    return fc.record({ ...common, ...more(jobs) }) as unknown as fc.Arbitrary<Plan & T>;
  });
}

/** How many calls of exec the items take if nothing is repeated. */
export function callsOf(jobs: readonly Job[]): number {
  return jobs.reduce((sum, job) => sum + Math.min(MOST_ATTEMPTS, job.failures + job.hangs + 1), 0);
}

export function expected({ n, hangs, failures }: Job): number | string {
  if (hangs >= MOST_ATTEMPTS) return "TimeoutError";
  return hangs + failures >= MOST_ATTEMPTS ? "Error" : 10 * n;
}

/** How a run ends that is left alone. */
export function endOf({ flow, jobs }: Plan & { flow: Interleaved }): "completed" | "failed" {
  const isStrict = !flow.endsWith("narrow");
  return isStrict && jobs.some((job) => typeof expected(job) === "string") ? "failed" : "completed";
}

const FLOWS = ["interleaved", "interleaved, narrow", "interleaved, in turn"] as const;

/** What can be seen of a run in which nothing can fail for good but where failures are collected. */
export const anyFlow = fc.constantFrom<Interleaved>(...FLOWS, ...FLOWS.slice(0, 2));
