import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  BatchApiNode,
  type BatchApiOptions,
  type BatchLine,
  type BatchResult,
  type BatchState,
  type Emitted,
  type ExecContext,
  Flow,
  type NonIterableObject,
  NonRetryableError,
  type Outcome,
  ParallelBatchFlow,
  RateLimitedError,
  type RunOptions,
} from "../../src/index.ts";
import { gate, range, settled } from "./support.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"], now: 0 });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Job {
  key: string;
  lines: BatchLine<string>[];
}

type Awaitable<T> = T | Promise<T>;
type Collected = Iterable<BatchResult<string>> | AsyncIterable<BatchResult<string>>;

/** What a vendor does otherwise than to take every job, end it at once and spell each item in capitals. */
interface Conduct {
  submit?(this: Vendor, lines: BatchLine<string>[], context: ExecContext): Awaitable<number>;
  find?(this: Vendor, context: ExecContext): Awaitable<number | undefined>;
  poll?(this: Vendor, job: Job, context: ExecContext): Awaitable<BatchState>;
  collect?(this: Vendor, job: Job, context: ExecContext): Awaitable<Collected>;
}

/** A vendor's batch API. Its jobs are known by their numbers, from 0. */
class Vendor {
  readonly jobs: Job[] = [];
  /** What it was asked, and when. */
  readonly log: string[] = [];

  note(what: string): void {
    this.log.push(`${what} at ${Date.now() / SECOND} s`);
  }

  take(lines: BatchLine<string>[], { idempotencyKey: key }: ExecContext): number {
    return this.jobs.push({ key, lines: [...lines] }) - 1;
  }

  answer({ lines }: Job): BatchResult<string>[] {
    return lines.map(({ id, item }) => ({ id, result: item.toUpperCase() }));
  }

  /** The lines of each job, as text. */
  get submitted(): string[] {
    return this.jobs.map(({ lines }) => lines.map(({ id, item }) => `${id}${item}`).join(" "));
  }
}

interface Shared {
  results?: unknown;
}

class Letters extends BatchApiNode<Shared, NonIterableObject, string, string, number> {
  private readonly vendor: Vendor;
  private readonly conduct: Conduct;
  private readonly items: unknown;

  constructor(vendor: Vendor, conduct: Conduct, items: unknown, options: BatchApiOptions) {
    super(options);
    this.vendor = vendor;
    this.conduct = conduct;
    this.items = items;
  }
  override prep() {
    return this.items as string[];
  }
  override find(context: ExecContext) {
    this.vendor.note("find");
    return this.conduct.find?.call(this.vendor, context);
  }
  override submit(lines: BatchLine<string>[], context: ExecContext) {
    this.vendor.note(`submit ${lines.map(({ item }) => item).join("")}`);
    return this.conduct.submit?.call(this.vendor, lines, context) ?? this.vendor.take(lines, context);
  }
  override poll(job: number, context: ExecContext) {
    this.vendor.note(`poll ${job}`);
    const { poll } = this.conduct;
    return poll ? poll.call(this.vendor, this.vendor.jobs[job] as Job, context) : { status: "ended" as const };
  }
  override collect(job: number, context: ExecContext) {
    this.vendor.note(`collect ${job}`);
    const known = this.vendor.jobs[job] as Job;
    return this.conduct.collect ? this.conduct.collect.call(this.vendor, known, context) : this.vendor.answer(known);
  }
  override post(shared: Shared, _items: string[], results: string[]) {
    shared.results = results;
  }
}

/** One whose items that have failed for good have a result all the same. */
class Mended extends Letters {
  override execFallback(item: string, error: Error) {
    return `${item}: ${error.message}`;
  }
}

const LETTERS = ["a", "b", "c", "d", "e"];

/** Runs a batch to its end, however long that takes. */
async function runOf(
  conduct: Conduct,
  options: BatchApiOptions = {},
  { items = LETTERS as unknown, Class = Mended as typeof Letters, run = {} as RunOptions } = {},
) {
  const vendor = new Vendor();
  const shared: Shared = {};
  const node = new Class(vendor, conduct, items, options);
  let failure: Error | undefined;
  let endedMs = 0;
  const end = new Flow(node).run(shared, run).then(
    () => {
      endedMs = Date.now();
    },
    (error: Error) => {
      failure = error;
      endedMs = Date.now();
    },
  );
  await vi.runAllTimersAsync();
  await end;
  return { vendor, node, results: shared.results, failure, endedMs, submitted: vendor.submitted, log: vendor.log };
}

/** Fails so many times, and then no more. */
function failing(times: number, makeError: () => unknown = () => new Error("away")) {
  let left = times;
  return () => {
    if (left-- > 0) throw makeError();
  };
}

const withStatus = (status: number) => Object.assign(new Error(`status ${status}`), { status });

describe("a batch for a vendor's batch API", () => {
  it("is submitted, polled until it has ended, and collected; post gets the results in order", async () => {
    const ends = [{ status: "running" }, { status: "running" }, { status: "ended" }] as BatchState[];
    const { results, log, submitted } = await runOf({ poll: () => ends.shift() as BatchState });
    expect(results).toEqual(["A", "B", "C", "D", "E"]);
    expect(submitted).toEqual(["0a 1b 2c 3d 4e"]);
    expect(log).toEqual([
      "find at 0 s",
      "submit abcde at 0 s",
      "poll 0 at 10 s",
      "poll 0 at 25 s",
      "poll 0 at 47.5 s",
      "collect 0 at 47.5 s",
    ]);
  });

  it("is polled as its options say", async () => {
    const ends = [{ status: "running" }, { status: "running" }, { status: "ended" }] as BatchState[];
    const { log } = await runOf(
      { poll: () => ends.shift() as BatchState },
      { poll: { wait: 60, backoff: 10, maxWait: 120 } },
    );
    expect(log.slice(2, 5)).toEqual(["poll 0 at 60 s", "poll 0 at 180 s", "poll 0 at 300 s"]);
  });

  it("may take days", async () => {
    const { results, endedMs } = await runOf({
      poll: () => ({ status: Date.now() > 3 * DAY ? "ended" : "running" }),
    });
    expect(results).toEqual(["A", "B", "C", "D", "E"]);
    expect(endedMs).toBeLessThanOrEqual(3 * DAY + 10 * MINUTE);
  });

  it("calls neither exec nor execBatch, and leaves no timer", async () => {
    class Own extends Mended {
      override exec(): string {
        throw new Error("exec is not called");
      }
      override execBatch(): string[] {
        throw new Error("execBatch is not called");
      }
    }
    const { results } = await runOf({}, { timeout: 100 }, { Class: Own });
    expect(results).toEqual(["A", "B", "C", "D", "E"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([[[]], [null]])("makes no job for %o", async (items) => {
    const { results, log } = await runOf({}, {}, { items });
    expect(results).toEqual([]);
    expect(log).toEqual([]);
  });

  it("has jobs of up to `batchSize` lines, whose ids are the items' places", async () => {
    const { results, submitted, vendor } = await runOf({}, { batchSize: 2 });
    expect(submitted).toEqual(["0a 1b", "2c 3d", "4e"]);
    expect(results).toEqual(["A", "B", "C", "D", "E"]);
    expect(new Set(vendor.jobs.map(({ key }) => key)).size).toBe(3);
  });

  it("has jobs of 10,000 lines where nothing else is said", async () => {
    const items = range(20_001).map(String);
    const sizesFor = async (options: object) => {
      const { vendor } = await runOf({}, options, { items });
      return vendor.jobs.map(({ lines }) => lines.length);
    };
    expect(await sizesFor({})).toEqual([10_000, 10_000, 1]);
  });

  it("has jobs of 10,000 lines where its `batchSize` is undefined, which is the default", async () => {
    const items = range(20).map(String);
    const options: object = { batchSize: undefined };
    expect((await runOf({}, options, { items })).vendor.jobs).toHaveLength(1);
  });

  it.each([
    [undefined, 3],
    [1, 1],
    [2, 2],
  ])("with a concurrency of %s has %i jobs of 3 at the vendor at once", async (concurrency, most) => {
    let open = 0;
    let peak = 0;
    const vendorEnds = {
      poll: (): BatchState => ({ status: Date.now() % (3 * MINUTE) > MINUTE ? "ended" : "running" }),
    };
    await runOf(
      {
        ...vendorEnds,
        submit(lines, context) {
          peak = Math.max(peak, ++open);
          return this.take(lines, context);
        },
        collect(job) {
          open--;
          return this.answer(job);
        },
      },
      { batchSize: 2, ...(concurrency === undefined ? {} : { concurrency }) },
    );
    expect(peak).toBe(most);
    expect(open).toBe(0);
  });

  it("takes results in any order, at once or as they come, and nothing as a result", async () => {
    const answers: ((lines: BatchResult<string>[]) => Collected)[] = [
      (lines) => lines.toReversed(),
      (lines) => new Set(lines),
      (lines) => lines.values(),
      async function* (lines) {
        for (const line of lines.toReversed()) {
          await settled();
          yield line;
        }
      },
      (lines) => ReadableStream.from(lines),
    ];
    for (const answer of answers) {
      expect((await runOf({ collect: async (job) => answer(new Vendor().answer(job)) })).results).toEqual([
        "A",
        "B",
        "C",
        "D",
        "E",
      ]);
    }
    const nothing = await runOf({
      collect: ({ lines }) => lines.map(({ id }) => ({ id, result: undefined as unknown as string })),
    });
    expect(nothing.results).toEqual(LETTERS.map(() => undefined));
  });

  it("takes the first of several results for one line, and none for lines that it has not", async () => {
    const { results } = await runOf({
      collect(job) {
        const lines = this.answer(job);
        const later = lines.map(({ id }) => ({ id, result: "later" }));
        const failed = lines.map(({ id }) => ({ id, error: new Error("later still") }));
        return [{ id: "77", result: "stranger" }, { id: "", result: "stranger" }, ...lines, ...later, ...failed];
      },
    });
    expect(results).toEqual(["A", "B", "C", "D", "E"]);
  });

  it("may name its jobs by anything but undefined, and calls them by that", async () => {
    class Falsy extends Mended {
      override find() {
        return 0;
      }
    }
    const { log, failure } = await runOf(
      { poll: () => ({ status: "ended" }), collect: () => [] },
      {},
      { Class: Falsy },
    );
    expect(log).toEqual(["poll 0 at 10 s", "collect 0 at 10 s"]);
    expect(failure).toBeUndefined();
  });
});

describe("the failing lines of a job", () => {
  it("are retried together in a new job that has only these, under the same ids and another key", async () => {
    const { results, submitted, vendor, log } = await runOf(
      {
        collect({ lines, key }) {
          const attempt = this.jobs.findIndex((job) => job.key === key) + 1;
          return lines.map(({ id, item }) =>
            Number(id) % 3 < attempt ? { id, result: `${item}${attempt}` } : { id, error: new Error("busy") },
          );
        },
      },
      { maxRetries: 3, wait: 100, backoff: 2 },
    );
    expect(submitted).toEqual(["0a 1b 2c 3d 4e", "1b 2c 4e", "2c"]);
    expect(results).toEqual(["a1", "b2", "c3", "d1", "e2"]);
    expect(new Set(vendor.jobs.map(({ key }) => key)).size).toBe(3);
    expect(log.filter((line) => line.startsWith("submit"))).toEqual([
      "submit abcde at 0 s",
      "submit bce at 110 s",
      "submit c at 320 s",
    ]);
  });

  it("have failed after the last attempt, each with its own error", async () => {
    const conduct: Conduct = {
      collect: ({ lines }) =>
        lines.map(({ id, item }) => (item < "c" ? { id, result: item } : { id, error: new Error(`no ${item}`) })),
    };
    const mended = await runOf(conduct, { maxRetries: 2 });
    expect(mended.submitted).toEqual(["0a 1b 2c 3d 4e", "2c 3d 4e"]);
    expect(mended.results).toEqual(["a", "b", "c: no c", "d: no d", "e: no e"]);

    const failed = await runOf(conduct, {}, { Class: Letters });
    expect(failed.failure?.message).toBe("no c");
    expect(failed.results).toBeUndefined();

    const collected = await runOf(conduct, { tolerate: { count: 3 } }, { Class: Letters });
    expect((collected.results as Outcome[]).map(({ ok }) => ok)).toEqual([true, true, false, false, false]);

    const tooMany = await runOf(conduct, { tolerate: { count: 2 } }, { Class: Letters });
    expect(tooMany.failure?.message).toBe("Expected at most 2 of the 5 items of Letters to fail, got 3");
  });

  it("are those without a result as well", async () => {
    const { results, submitted } = await runOf(
      {
        collect(job) {
          return this.answer(job).filter(({ id }) => this.jobs.length === 2 || id !== "1");
        },
      },
      { maxRetries: 2 },
    );
    expect(submitted).toEqual(["0a 1b 2c 3d 4e", "1b"]);
    expect(results).toEqual(["A", "B", "C", "D", "E"]);
    const lost = await runOf({ collect: () => [] }, {}, { Class: Letters });
    expect(lost.failure).toMatchObject({
      name: "BatchJobError",
      message: "The vendor's job ended without a result for this item",
    });
  });

  it("have no further attempt where their error says so", async () => {
    const { results, submitted } = await runOf(
      {
        collect: ({ lines }) =>
          lines.map(({ id, item }) => ({ id, error: item === "a" ? new NonRetryableError("final") : new Error("no") })),
      },
      { maxRetries: 2, retryIf: () => true },
    );
    expect(submitted).toEqual(["0a 1b 2c 3d 4e", "1b 2c 3d 4e"]);
    expect(results).toEqual(["a: final", "b: no", "c: no", "d: no", "e: no"]);
  });

  it("do not hold up the lines of other jobs", async () => {
    const { log } = await runOf(
      { collect: ({ lines }) => (lines[0]?.id === "0" ? [] : new Vendor().answer({ key: "", lines })) },
      { batchSize: 3, maxRetries: 2, wait: 1000 },
    );
    expect(log.filter((line) => line.startsWith("collect"))).toEqual([
      "collect 0 at 10 s",
      "collect 1 at 10 s",
      "collect 2 at 1020 s",
    ]);
  });

  it("are those of which a line says `error`, though it says `result: undefined` too", async () => {
    const { results } = await runOf({
      collect: ({ lines }) =>
        lines.map(({ id }) => ({ id, result: undefined as unknown as string, error: new Error("no") })),
    });
    expect(results).toEqual(LETTERS.map((letter) => `${letter}: no`));
  });

  it("are not those of which a line has a result beside an `error` that is undefined", async () => {
    const { results } = await runOf({
      // As one writes it who copies both of a vendor's fields. The compiler takes it.
      collect: ({ lines }) => lines.map(({ id, item }) => ({ id, result: item.toUpperCase(), error: undefined })),
    });
    expect(results).toEqual(["A", "B", "C", "D", "E"]);
  });

  it("are those as well whose error is none of JavaScript's: it never becomes a result", async () => {
    const { results } = await runOf({
      collect: ({ lines }) =>
        lines.map(({ id }) => ({ id, error: { name: "VendorError", message: "vendor says no" } as Error })),
    });
    expect(JSON.stringify(results)).toContain("a: ");
    expect(results).not.toContainEqual(expect.objectContaining({ message: "vendor says no" }));
  });

  const plans = fc.array(fc.record({ failures: fc.nat(4), isMissing: fc.boolean() }), { maxLength: 14 });
  const options = fc.record({
    batchSize: fc.integer({ min: 1, max: 16 }),
    maxRetries: fc.integer({ min: 1, max: 4 }),
    wait: fc.constantFrom(0, 5),
    split: fc.boolean(),
    concurrency: fc.integer({ min: 1, max: 3 }),
  });

  test.prop([plans, options])("have their own attempts, whatever else is in their jobs", async (plans, options) => {
    const tries = plans.map(() => 0);
    const { results, vendor } = await runOf(
      {
        collect: ({ lines }) =>
          lines.toReversed().flatMap(({ id, item }): BatchResult<string>[] => {
            const at = Number(item);
            tries[at] = (tries[at] as number) + 1;
            if ((tries[at] as number) > (plans[at]?.failures as number)) return [{ id, result: `${item} done` }];
            return plans[at]?.isMissing ? [] : [{ id, error: new Error("failed") }];
          }),
      },
      options,
      { items: range(plans.length).map(String) },
    );
    const { maxRetries } = options;
    const missing = "The vendor's job ended without a result for this item";
    expect(tries).toEqual(plans.map(({ failures }) => Math.min(failures + 1, maxRetries)));
    expect(results).toEqual(
      plans.map(({ failures, isMissing }, at) =>
        failures < maxRetries ? `${at} done` : `${at}: ${isMissing ? missing : "failed"}`,
      ),
    );
    expect(new Set(vendor.jobs.map(({ key }) => key)).size).toBe(vendor.jobs.length);
  });
});

describe("a job that has failed as a whole", () => {
  const failsAs = (error: { name?: string; message: string }, isBad = (_job: Job) => true): Conduct => ({
    poll: (job) => (isBad(job) ? { status: "failed", error } : { status: "ended" }),
  });

  it("has failed in all its lines, which are retried as a new job", async () => {
    const { submitted, results, log } = await runOf(
      {
        poll(job) {
          return this.jobs.indexOf(job) === 0
            ? { status: "failed", error: { message: "out of luck" } }
            : { status: "ended" };
        },
      },
      { maxRetries: 2 },
    );
    expect(submitted).toEqual(["0a 1b 2c 3d 4e", "0a 1b 2c 3d 4e"]);
    expect(results).toEqual(["A", "B", "C", "D", "E"]);
    expect(log).not.toContain("collect 0 at 10 s");
  });

  it("is the error of each line after the last attempt, with the name that the vendor gives it", async () => {
    const { failure } = await runOf(failsAs({ name: "InvalidFile", message: "line 3" }), {}, { Class: Letters });
    expect(failure).toMatchObject({ name: "InvalidFile", message: "line 3" });
    const unnamed = await runOf(failsAs({ message: "line 3" }), { maxRetries: 3 }, { Class: Letters });
    expect(unnamed.failure).toMatchObject({ name: "BatchJobError", message: "line 3" });
    expect(unnamed.submitted).toHaveLength(3);
    expect((await runOf(failsAs({ message: "no" }))).results).toEqual(LETTERS.map((letter) => `${letter}: no`));
  });

  it("is split where it may be, down to the line that fails by itself", async () => {
    const { submitted, results } = await runOf(
      failsAs({ message: "bad line" }, ({ lines }) => lines.some(({ item }) => item === "d")),
      { split: true, maxRetries: 1 },
    );
    expect(submitted.toSorted()).toEqual(["0a 1b 2c", "0a 1b 2c 3d 4e", "3d", "3d 4e", "4e"]);
    expect(results).toEqual(["A", "B", "C", "d: bad line", "E"]);
  });
});

describe("finding a job", () => {
  it("comes before each submit, with the same key, and takes its place where there is one", async () => {
    const keys: string[] = [];
    const { log, results, submitted } = await runOf({
      find({ idempotencyKey }) {
        keys.push(`find ${idempotencyKey}`);
        // The first answer was lost on its way back, but the job is there.
        return this.jobs.length > 0 ? 0 : undefined;
      },
      submit(lines, context) {
        keys.push(`submit ${context.idempotencyKey}`);
        this.take(lines, context);
        throw new Error("the answer is lost");
      },
    });
    expect(submitted).toHaveLength(1);
    expect(log).toEqual(["find at 0 s", "submit abcde at 0 s", "find at 1 s", "poll 0 at 11 s", "collect 0 at 11 s"]);
    expect(results).toEqual(["A", "B", "C", "D", "E"]);
    const [first] = keys;
    expect(keys).toEqual([first, first?.replace("find", "submit"), first]);
  });

  it("is done anew for each attempt, which has a key of its own", async () => {
    const keys: string[] = [];
    await runOf(
      {
        find({ idempotencyKey }) {
          keys.push(idempotencyKey);
          return undefined;
        },
        collect: () => [],
      },
      { maxRetries: 3 },
    );
    expect(new Set(keys).size).toBe(3);
  });

  it("that fails keeps the job from being submitted until it has not", async () => {
    const { log } = await runOf({ find: failing(2) as () => undefined });
    expect(log.slice(0, 4)).toEqual(["find at 0 s", "find at 1 s", "find at 3 s", "submit abcde at 3 s"]);
  });

  it("finds nothing where it is not written", async () => {
    class Bare extends BatchApiNode {
      submit() {
        return 1;
      }
      poll(): BatchState {
        return { status: "ended" };
      }
      collect() {
        return [];
      }
    }
    const context = {} as ExecContext;
    expect(await new Bare().find(context)).toBeUndefined();
    expect(await new Bare().cancel(1, context)).toBeUndefined();
    expect(new Bare({ batchSize: 5 }).maxRetries).toBe(1);
  });
});

describe("trouble with the vendor", () => {
  const hooks = ["submit", "poll", "collect"] as const;

  /** A vendor one of whose hooks does `trouble` first. */
  function troubled(hook: (typeof hooks)[number], trouble: () => void): Conduct {
    return {
      [hook](this: Vendor, ...given: [never, never]) {
        trouble();
        if (hook === "submit") return this.take(...given);
        return hook === "poll" ? { status: "ended" } : this.answer(given[0]);
      },
    };
  }
  const asked = (log: string[], hook: string) => log.filter((line) => line.startsWith(hook));

  describe.each(hooks)("in %s", (hook) => {
    it("is tried again with back-off, and is no attempt", async () => {
      const { results, log, submitted } = await runOf(troubled(hook, failing(4)));
      expect(results).toEqual(["A", "B", "C", "D", "E"]);
      expect(submitted).toHaveLength(1);
      const first = hook === "submit" ? 0 : 10;
      expect(asked(log, hook).map((line) => line.replace(/.* at /, ""))).toEqual(
        [0, 1, 3, 7, 15].map((seconds) => `${first + seconds} s`),
      );
    });

    it.each([
      ["rejects", () => Promise.reject(new Error("away"))],
      ["throws what is no error", failing(1, () => "away")],
      ["is refused for its rate limit", failing(1, () => new RateLimitedError())],
    ])("is mended where it %s at first", async (_, first) => {
      let isFirst = true;
      const conduct = troubled(hook, () => {});
      const well = conduct[hook] as (...given: unknown[]) => unknown;
      const { results, submitted } = await runOf({
        [hook](this: Vendor, ...given: unknown[]) {
          if (!isFirst) return well.apply(this, given);
          isFirst = false;
          return first();
        },
      });
      expect(results).toEqual(["A", "B", "C", "D", "E"]);
      expect(submitted).toHaveLength(1);
    });

    it("waits for as long as the vendor asks", async () => {
      const busy = () => new RateLimitedError({ retryAfterMs: 90_000 });
      const { endedMs } = await runOf(troubled(hook, failing(1, busy)));
      expect(endedMs).toBe(100_000);
    });

    it("is given up after a day, and is no attempt then either", async () => {
      const { results, endedMs, log, submitted } = await runOf(troubled(hook, failing(Infinity)), { maxRetries: 3 });
      expect(results).toEqual(LETTERS.map((letter) => `${letter}: away`));
      expect(submitted.length).toBeLessThanOrEqual(1);
      expect(endedMs).toBeGreaterThanOrEqual(DAY);
      expect(endedMs).toBeLessThanOrEqual(DAY + 11 * MINUTE);
      expect(asked(log, hook).length).toBeGreaterThan(100);
    });

    it.each([400, 401, 403, 404, 413, 422, 499])("is final with a status of %i", async (status) => {
      const { failure, log } = await runOf(
        troubled(
          hook,
          failing(Infinity, () => withStatus(status)),
        ),
        { maxRetries: 5, wait: 5 },
        { Class: Letters },
      );
      expect(failure?.message).toBe(`status ${status}`);
      expect(asked(log, hook)).toHaveLength(1);
    });

    it.each([408, 409, 425, 429, 500, 503])("is no more than that with a status of %i", async (status) => {
      const { results, log } = await runOf(
        troubled(
          hook,
          failing(2, () => withStatus(status)),
        ),
      );
      expect(results).toEqual(["A", "B", "C", "D", "E"]);
      expect(asked(log, hook)).toHaveLength(3);
    });

    it("is final for an error that says so", async () => {
      const { failure, log } = await runOf(
        troubled(
          hook,
          failing(Infinity, () => new NonRetryableError("final")),
        ),
        { maxRetries: 5 },
        { Class: Letters },
      );
      expect(failure).toEqual(new NonRetryableError("final"));
      expect(asked(log, hook)).toHaveLength(1);
    });

    it.each([
      ["frozen", () => Object.freeze(withStatus(400))],
      [
        "of a class whose `retryable` cannot be set",
        () =>
          new (class extends Error {
            status = 400;
            get retryable() {
              return false;
            }
          })("status 400"),
      ],
    ])("is final with the error as it was, which is %s", async (_, makeError) => {
      const { failure, log } = await runOf(
        troubled(hook, failing(Infinity, makeError)),
        { maxRetries: 2 },
        { Class: Letters },
      );
      expect(failure?.message).toBe("status 400");
      expect(asked(log, hook)).toHaveLength(1);
    });

    it.each([["no error"], [undefined], [null]])(
      "that is given up is no attempt, also where it threw %o",
      async (thrown) => {
        const { endedMs, failure } = await runOf(
          troubled(
            hook,
            failing(Infinity, () => thrown),
          ),
          { maxRetries: 2 },
          { Class: Letters },
        );
        expect(endedMs).toBeGreaterThanOrEqual(DAY);
        expect(endedMs).toBeLessThanOrEqual(DAY + 11 * MINUTE);
        expect(failure).not.toBeInstanceOf(TypeError);
      },
    );

    it("is each call's that takes longer than `timeout` says", async () => {
      let isFirst = true;
      const well = troubled(hook, () => {})[hook] as (...given: unknown[]) => unknown;
      const { results, endedMs } = await runOf(
        {
          [hook](this: Vendor, ...given: unknown[]) {
            if (!isFirst) return well.apply(this, given);
            isFirst = false;
            return new Promise(() => {});
          },
        },
        { timeout: 30 },
      );
      expect(results).toEqual(["A", "B", "C", "D", "E"]);
      expect(endedMs).toBe(41 * SECOND);
    });

    it("leaves the next call with a signal of its own, where one took too long", async () => {
      const aborted: boolean[] = [];
      const well = troubled(hook, () => {})[hook] as (...given: unknown[]) => unknown;
      await runOf(
        {
          [hook](this: Vendor, given: unknown, context: ExecContext) {
            aborted.push(context.signal.aborted);
            if (aborted.length > 1) return well.call(this, given, context);
            return new Promise(() => {});
          },
        },
        { timeout: 30 },
      );
      expect(aborted).toEqual([false, false]);
    });
  });

  it("counts anew for each call that went well between", async () => {
    const polls = [0, 1, 1, 0, 1, 1, 0];
    const { log } = await runOf(
      {
        poll() {
          if (polls.shift() === 1) throw new Error("away");
          return { status: polls.length === 0 ? "ended" : "running" };
        },
      },
      { poll: { wait: 100, backoff: 1 } },
    );
    expect(asked(log, "poll").map((line) => line.replace(/.* at /, ""))).toEqual([
      "100 s",
      "200 s",
      "201 s",
      "203 s",
      "303 s",
      "304 s",
      "306 s",
    ]);
  });

  it("that is final splits a job that may be split at once", async () => {
    const { submitted, log, results } = await runOf(
      {
        submit(lines, context) {
          if (lines.some(({ item }) => item === "b")) throw withStatus(400);
          return this.take(lines, context);
        },
      },
      { split: true, maxRetries: 4 },
    );
    expect(asked(log, "submit").map((line) => line.split(" ")[1])).toEqual(["abcde", "abc", "ab", "a", "b", "c", "de"]);
    expect(submitted).toEqual(["0a", "2c", "3d 4e"]);
    expect(results).toEqual(["A", "b: status 400", "C", "D", "E"]);
  });
});

describe("what a vendor's hooks may not return", () => {
  const expected =
    'Expected poll of Letters to return { status: "running" }, "ended", or "failed" with an `error`, got ';

  it.each([
    [undefined, "undefined"],
    [null, "null"],
    ["ended", "a string"],
    [5, "a number"],
    [{}, "an object"],
    [[], "an array"],
    [{ status: "done" }, "`done`"],
    [{ status: 1 }, "an object"],
    [{ status: "failed" }, "`failed`"],
    [{ status: "failed", error: "no" }, "`failed`"],
    [{ status: "failed", error: { message: 5 } }, "`failed`"],
  ])("is the state %o, which is the end of all attempts", async (state, got) => {
    const { failure, submitted } = await runOf({ poll: () => state as never }, { maxRetries: 3 }, { Class: Letters });
    expect(failure).toBeInstanceOf(TypeError);
    expect(failure?.message).toBe(expected + got);
    expect(submitted).toHaveLength(1);
  });

  it.each([
    [undefined, "undefined"],
    [null, "null"],
    [{ results: [] }, "an object"],
    [7, "a number"],
  ])("is %o from collect, which is the end of all attempts", async (collected, got) => {
    const { failure, submitted, log } = await runOf(
      { collect: () => collected as never },
      { maxRetries: 3 },
      { Class: Letters },
    );
    expect(failure).toBeInstanceOf(TypeError);
    expect(failure?.message).toBe(
      `Expected collect of Letters to return results, each { id, result } or { id, error }, got ${got}`,
    );
    expect(submitted).toHaveLength(1);
    expect(log).toHaveLength(4);
  });

  it.each([[undefined], [null], ["line"], [5]])(
    "is a line %o from collect, which no day of waiting mends",
    async (line) => {
      const { failure, endedMs } = await runOf({ collect: () => [line as never] }, {}, { Class: Letters });
      expect(failure).toBeInstanceOf(Error);
      expect(endedMs).toBeLessThan(HOUR);
    },
  );
});

describe("the progress of a job", () => {
  it("is told to who follows the run, as far as the vendor tells it", async () => {
    const states: BatchState[] = [
      { status: "running" },
      { status: "running", total: 2 },
      { status: "running", completed: 0 },
      { status: "running", total: 2, completed: 1 },
      { status: "running", total: 2, completed: 1, failed: 1 },
      { status: "ended" },
    ];
    const told: Emitted[] = [];
    await runOf(
      { poll: (job) => (job.lines[0]?.id === "0" ? { status: "ended" } : (states.shift() as BatchState)) },
      { batchSize: 3, name: "letters" },
      { run: { onEmit: (event) => told.push(event) } },
    );
    expect(told).toStrictEqual([
      { node: "letters", index: 3, data: { completed: 0, failed: 0 } },
      { node: "letters", index: 3, data: { completed: 1, failed: 0, total: 2 } },
      { node: "letters", index: 3, data: { completed: 1, failed: 1, total: 2 } },
    ]);
  });

  it("is beside what the hooks themselves emit", async () => {
    const told: unknown[] = [];
    await runOf(
      {
        submit(lines, context) {
          context.emit("submitted");
          return this.take(lines, context);
        },
        collect(job, context) {
          context.emit("collected");
          return this.answer(job);
        },
      },
      {},
      { run: { onEmit: ({ data }) => told.push(data) } },
    );
    expect(told).toEqual(["submitted", "collected"]);
  });
});

describe("a batch for a vendor's batch API in a flow", () => {
  it("runs for all branches of a parallel batch flow at once, with keys of their own", async () => {
    const vendor = new Vendor();
    const results: unknown[] = [];
    class Each extends Letters {
      override prep() {
        return [...(this._params["letters"] as string)];
      }
      override post(_shared: Shared, items: string[], capitals: string[]) {
        results.push([items.join(""), capitals.join("")]);
      }
    }
    const flow = new ParallelBatchFlow(new Flow(new Each(vendor, {}, [], { batchSize: 2 })));
    flow.prep = () => ["abc", "de"].map((letters) => ({ letters }));
    const run = flow.run({});
    await vi.runAllTimersAsync();
    await run;
    expect(results).toEqual([
      ["abc", "ABC"],
      ["de", "DE"],
    ]);
    expect(Date.now()).toBe(10_000);
    expect(new Set(vendor.jobs.map(({ key }) => key)).size).toBe(3);
  });

  it("is of a kind of its own", () => {
    const flow = new Flow(new Letters(new Vendor(), {}, [], { name: "letters" }));
    expect(flow.describe().nodes[1]).toEqual({ id: "letters", name: "letters", kind: "api-batch" });
  });

  it("sees in its hooks how many attempts have failed", async () => {
    const seen: number[] = [];
    class Counting extends Mended {
      override submit(lines: BatchLine<string>[], context: ExecContext) {
        seen.push(this.currentRetry, context.attempt);
        return super.submit(lines, context);
      }
      override execFallback(item: string) {
        seen.push(this.currentRetry);
        return item;
      }
    }
    await runOf({ collect: () => [] }, { maxRetries: 2 }, { Class: Counting, items: ["a"] });
    expect(seen).toEqual([0, 1, 1, 2, 1]);
  });

  it("counts the attempts of each job by itself, and leaves none of them on the node", async () => {
    const seen: string[] = [];
    class Counting extends Mended {
      override execFallback(item: string) {
        seen.push(`${item} ${this.currentRetry}`);
        return item;
      }
    }
    const { node } = await runOf(
      {
        poll: ({ lines }) => ({ status: lines[0]?.item === "a" && Date.now() < HOUR ? "running" : "ended" }),
        collect: ({ lines }) =>
          lines.map(({ id, item }) => ({ id, error: item === "a" ? new NonRetryableError("no") : new Error("no") })),
      },
      { maxRetries: 3, batchSize: 1 },
      { Class: Counting, items: ["a", "b"] },
    );
    expect(seen).toEqual(["b 2", "a 0"]);
    expect(node.currentRetry).toBe(0);
  });

  it("has the items as they were when prep ended", async () => {
    const items = [...LETTERS];
    const wait = gate();
    const run = runOf(
      {
        async submit(lines, context) {
          await wait.promise;
          return this.take(lines, context);
        },
      },
      { batchSize: 2, concurrency: 1 },
      { items },
    );
    await settled();
    items.splice(0, 5, "v", "w", "x", "y", "z");
    wait.open();
    await settled();
    await vi.runAllTimersAsync();
    expect((await run).results).toEqual(["A", "B", "C", "D", "E"]);
  });
});

describe("the options of a BatchApiNode", () => {
  const make = (options: object) => new Letters(new Vendor(), {}, [], options);

  it("have no limit, which a vendor's batch API has itself", () => {
    for (const limit of ["llm", { name: "llm" }, []]) {
      expect(() => make({ limit })).toThrow(
        new TypeError("Expected no `limit` of a BatchApiNode: a vendor's batch API has budgets of its own"),
      );
    }
    make({ limit: undefined });
  });

  it.each([
    [{ wait: -1 }, "`poll.wait` of a BatchApiNode to be a number of seconds, 0 or more, got `-1`"],
    [{ wait: Number.NaN }, "`poll.wait` of a BatchApiNode to be a number of seconds, 0 or more, got `NaN`"],
    [{ wait: "1m" }, "`poll.wait` of a BatchApiNode to be a number of seconds, 0 or more, got `1m`"],
    [{ maxWait: Infinity }, "`poll.maxWait` of a BatchApiNode to be a number of seconds, 0 or more, got `Infinity`"],
    [{ backoff: 0.9 }, "`poll.backoff` of a BatchApiNode to be a factor of at least 1, got `0.9`"],
    [{ wait: 1, backoff: Infinity }, "`poll.backoff` of a BatchApiNode to be a factor of at least 1, got `Infinity`"],
  ])("refuse to poll by %o", (poll, message) => {
    expect(() => make({ poll })).toThrow(new RangeError(`Expected ${message}`));
  });

  it.each([{}, { wait: 0 }, { maxWait: 0 }, { backoff: 1 }, { wait: 5, backoff: 2, maxWait: 60 }])(
    "let it poll by %o",
    (poll) => {
      expect(make({ poll })).toBeInstanceOf(BatchApiNode);
    },
  );

  it("may be undefined one by one, which is the default", async () => {
    expect(make({ poll: undefined, maxRetries: undefined, timeout: undefined }).maxRetries).toBe(1);
    expect(() => make({ poll: { wait: undefined, backoff: undefined, maxWait: undefined } })).not.toThrow();
  });

  it("are checked as those of other batch nodes are", () => {
    expect(() => make({ batchSize: 0 })).toThrow("Expected `batchSize` of Letters to be a whole number of at least 1");
    expect(() => make({ maxRetries: 0 })).toThrow("Expected `maxRetries` of Letters");
    expect(() => make({ split: "yes" })).toThrow("Expected `split` of Letters");
    expect(make({ split: true, onItemError: "collect", concurrency: 2, timeout: 5 }).maxRetries).toBe(1);
  });

  it("let a job wait longer for a question than a timer can be", async () => {
    const { log } = await runOf({}, { poll: { wait: 30 * 86_400, maxWait: 30 * 86_400 } });
    expect(log[2]).toBe(`poll 0 at ${30 * 86_400} s`);
  });
});
