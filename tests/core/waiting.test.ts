import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  AsyncFlow,
  BatchFlow,
  type Duration,
  type Emitted,
  Flow,
  Node,
  type NonIterableObject,
  ParallelBatchFlow,
  type PostResult,
  type RunOptions,
  type Signal,
  SleepNode,
  sleep,
  WaitForEvent,
} from "../../src/index.ts";
import { gate, range, settled } from "./support.ts";

const START = Date.parse("2026-03-01T12:00:00Z");
const SECOND = 1000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"], now: START });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Log {
  log: string[];
}

/** Writes down when it is visited. */
class Note extends Node<Log> {
  override post(shared: Log): PostResult {
    shared.log.push(`${this._options.name} at ${Date.now() - START}`);
  }
}
const note = (name: string) => new Note({ name });

/** What a node or flow comes to, and when; time is moved as far as it takes. */
async function ended(root: Flow | SleepNode | WaitForEvent, options?: RunOptions, shared: unknown = {}) {
  const end = root.run(shared, options).then((action) => ({ action, atMs: Date.now() - START }));
  end.catch(() => {});
  await vi.runAllTimersAsync();
  return end;
}

describe("a sleep", () => {
  it.each<[time: Duration | Date, ms: number]>([
    [2, 2 * SECOND],
    [0.25, 250],
    [0, 0],
    ["1ms", 1],
    ["90s", 90 * SECOND],
    ["1.5h", 1.5 * HOUR],
    ["3d", 3 * DAY],
    [new Date(START + 5 * SECOND), 5 * SECOND],
    [new Date(START), 0],
    [new Date(START - DAY), 0],
    [new Date(0), 0],
  ])("of %o is over after %i ms, and not before", async (time, ms) => {
    let isOver = false;
    const run = new Flow(new SleepNode(time)).run({}).then(() => {
      isOver = true;
    });
    if (ms > 0) {
      await vi.advanceTimersByTimeAsync(ms - 1);
      await settled();
      expect(isOver).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
    }
    await settled();
    expect(isOver).toBe(true);
    await run;
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each<[time: Duration | Date, ms: number]>([
    ["25d", 25 * DAY],
    ["3650d", 3650 * DAY],
    [3650 * 86_400, 3650 * DAY],
    [new Date(START + 100 * DAY), 100 * DAY],
    [(2 ** 31 - 1) / 1000, 2 ** 31 - 1],
    [2 ** 31 / 1000, 2 ** 31],
    [(2 * (2 ** 31 - 1)) / 1000, 2 * (2 ** 31 - 1)],
  ])("of %o is over in time, though no timer is that long", async (time, ms) => {
    expect(await ended(new SleepNode(time))).toEqual({ action: undefined, atMs: ms });
  });

  it("is between the nodes of a flow, and goes on by the default action", async () => {
    const first = note("first");
    first.next(sleep("1h")).next(note("second")).next(new SleepNode(2)).next(note("third"));
    const shared: Log = { log: [] };
    await ended(new Flow(first), {}, shared);
    expect(shared.log).toEqual(["first at 0", `second at ${HOUR}`, `third at ${HOUR + 2 * SECOND}`]);
  });

  it("runs alone, too", async () => {
    expect(await ended(sleep("2s"))).toEqual({ action: undefined, atMs: 2 * SECOND });
  });

  it("begins anew each time a loop comes by", async () => {
    const pause = sleep(10);
    const again = new Node<{ left: number }>();
    again.post = (shared) => (shared.left-- > 0 ? "again" : "done");
    pause.next(again);
    again.on("again", pause).end("done");
    expect(await ended(new Flow(pause), {}, { left: 3 })).toEqual({ action: "done", atMs: 40 * SECOND });
  });

  it("until a Date is over at once when a loop comes by again", async () => {
    const pause = sleep(new Date(START + 10 * SECOND));
    const again = new Node<{ left: number }>();
    again.post = (shared) => (shared.left-- > 0 ? "again" : "done");
    pause.next(again);
    again.on("again", pause).end("done");
    expect(await ended(new Flow(pause), {}, { left: 3 })).toEqual({ action: "done", atMs: 10 * SECOND });
  });

  it.each<[what: string, prep: () => Duration | Date | Promise<Duration | Date>, ms: number]>([
    ["seconds", () => 7, 7 * SECOND],
    ["a duration", () => "7m", 420 * SECOND],
    ["a Date", () => new Date(START + 7), 7],
    ["a Date that is over", () => new Date(START - 7), 0],
    ["a promise", async () => "7s", 7 * SECOND],
  ])("is as long as a prep of its own says: %s", async (_, prep, ms) => {
    class Until extends SleepNode {
      override prep() {
        return prep();
      }
    }
    expect(await ended(new Flow(new Until("1d")))).toEqual({ action: undefined, atMs: ms });
  });

  it("has a post of its own where one is written, which gets what prep returned", async () => {
    class Until extends SleepNode<{ got?: unknown[] }> {
      override post(shared: { got?: unknown[] }, prepRes: Duration | Date, execRes: void) {
        shared.got = [prepRes, execRes];
        return "awake";
      }
    }
    const shared: { got?: unknown[] } = {};
    expect(await ended(new Flow(new Until("1m")), {}, shared)).toEqual({ action: "awake", atMs: 60 * SECOND });
    expect(shared.got).toEqual(["1m", undefined]);
  });

  it("counts from when prep has ended", async () => {
    const slow = gate();
    class Until extends SleepNode {
      override async prep() {
        await slow.promise;
        return 10;
      }
    }
    const run = ended(new Flow(new Until()));
    await vi.advanceTimersByTimeAsync(5 * SECOND);
    slow.open();
    await settled();
    await vi.runAllTimersAsync();
    expect(await run).toEqual({ action: undefined, atMs: 15 * SECOND });
  });

  it("of each branch is its own: at once in a parallel batch flow, one after the other in a batch flow", async () => {
    class Each extends SleepNode<Log, { seconds: number }> {
      override prep() {
        return this._params.seconds;
      }
      override post(shared: Log): PostResult {
        shared.log.push(`${this._params.seconds} at ${Date.now() - START}`);
      }
    }
    const prep = () => [{ seconds: 3 }, { seconds: 1 }, { seconds: 2 }];
    for (const [make, log] of [
      [ParallelBatchFlow, ["1 at 1000", "2 at 2000", "3 at 3000"]],
      [BatchFlow, ["3 at 3000", "1 at 4000", "2 at 6000"]],
    ] as const) {
      vi.setSystemTime(START);
      const shared: Log = { log: [] };
      const flow = new make(new Flow(new Each()));
      flow.prep = prep;
      await ended(new AsyncFlow(flow), {}, shared);
      expect(shared.log).toEqual(log);
    }
  });

  it("has no exec: one that is written is not called", async () => {
    const pause = sleep(1);
    pause.exec = vi.fn();
    await ended(pause);
    expect(pause.exec).not.toHaveBeenCalled();
  });

  const refused = [
    ...[-1, -0.001, Number.NaN, Infinity, -Infinity, 3650 * 86_400 + 1].map((time) => [time, String(time)]),
    [new Date(Number.NaN), "Invalid Date"],
  ] as [time: number | Date, got: string][];
  const expected = "seconds (0 or more), a duration such as";

  it.each(refused)("of %s cannot be meant", (time, got) => {
    const message = `Expected the time of SleepNode to be ${expected} "90s", "2h" or "3d", or a valid Date, got \`${got}\``;
    expect(() => new SleepNode(time)).toThrow(new RangeError(message));
    expect(() => sleep(time, { name: "pause" })).toThrow(RangeError);
  });

  it.each([
    [null, "null"],
    [true, "a boolean"],
    [{}, "an object"],
    [["3d"], "an array"],
    [() => 3, "a function"],
    [3n, "a bigint"],
  ])("of %o cannot be meant", (time, got) => {
    expect(() => new SleepNode(time as never)).toThrow(RangeError);
    expect(() => new SleepNode(time as never)).toThrow(`or a valid Date, got ${got}`);
  });

  it.each(["", "3", "3 d", "-3d", "3w", "three days", "0s", "3651d", "1e3s", "Infinity"])(
    "of the duration %o cannot be meant",
    (time) => {
      expect(() => new SleepNode(time)).toThrow(
        new RangeError(
          `Expected \`time\` of SleepNode to be a duration from "1ms" to "3650d", such as "1s", "1m" or "1h", got \`${time}\``,
        ),
      );
    },
  );

  it.each([-1, "3 d", new Date(Number.NaN), undefined, null])(
    "that prep says to be %o is the run's error, which names the node",
    async (time) => {
      class Until extends SleepNode {
        override prep() {
          return time as Duration;
        }
      }
      const after = note("after");
      const pause = new Until("1d", { name: "until due" });
      pause.next(after);
      const shared: Log = { log: [] };
      const run = ended(new Flow(pause), {}, shared);
      await expect(run).rejects.toThrow(RangeError);
      await expect(run).rejects.toThrow("of until due to be");
      expect(shared.log).toEqual([]);
    },
  );

  it("that nobody gave a time is the run's error", async () => {
    await expect(ended(new Flow(new SleepNode()))).rejects.toThrow("or a valid Date, got undefined");
  });

  it("is called by its name in descriptions, or else by its class", () => {
    expect(new Flow(sleep(1)).describe().nodes[1]).toEqual({ id: "SleepNode", name: "SleepNode", kind: "sleep" });
    expect(new Flow(sleep(1, { name: "pause" })).describe().nodes[1]).toMatchObject({ id: "pause", kind: "sleep" });
    expect(sleep(1)).toBeInstanceOf(SleepNode);
  });
});

/** Waits, and writes down what came. */
class Approval<P extends NonIterableObject = NonIterableObject> extends WaitForEvent<
  { came: unknown[] },
  P,
  { approved: boolean }
> {
  override post(shared: { came: unknown[] }, name: string, signal: Signal<{ approved: boolean }> | null) {
    shared.came.push([name, signal]);
    if (!signal) return "timeout";
    return signal.payload.approved ? "approved" : "rejected";
  }
}

describe("a wait for a signal", () => {
  it("gives post what onWait gave for the name, and when it came", async () => {
    const came = gate<{ approved: boolean }>();
    const onWait = vi.fn(() => came.promise);
    const shared = { came: [] };
    const run = new Flow(new Approval("approval")).run(shared, { onWait });
    await vi.advanceTimersByTimeAsync(DAY);
    expect(onWait.mock.calls).toEqual([["approval"]]);
    expect(shared.came).toEqual([]);
    came.open({ approved: true });
    expect(await run).toBe("approved");
    const at = new Date(START + DAY);
    expect(shared.came).toEqual([["approval", { name: "approval", payload: { approved: true }, at }]]);
    expect(onWait).toHaveBeenCalledOnce();
  });

  it.each([
    ["at once", (payload: unknown) => payload],
    ["as a promise", async (payload: unknown) => payload],
  ])("takes any payload, %s, none included", async (_, give) => {
    for (const payload of [undefined, null, 0, "", false, ["a"], new Map()]) {
      const got: unknown[] = [];
      const wait = new WaitForEvent("payload");
      wait.post = (_shared, _name, signal) => void got.push(signal);
      await ended(wait, { onWait: () => give(payload) });
      expect(got).toEqual([{ name: "payload", payload, at: new Date(START) }]);
    }
  });

  it("is for the name that a prep of its own says, at once or later", async () => {
    class Mine extends WaitForEvent<{ id: string; got?: unknown }> {
      override prep(shared: { id: string }) {
        return shared.id === "7" ? `approval-${shared.id}` : Promise.resolve("other");
      }
      override post(shared: { got?: unknown }, name: string, signal: Signal | null): PostResult {
        shared.got = [name, signal?.name, signal?.payload];
      }
    }
    for (const [id, name] of [
      ["7", "approval-7"],
      ["8", "other"],
    ]) {
      const shared: { id: string; got?: unknown } = { id: id as string };
      await ended(new Flow(new Mine("unused")), { onWait: (signal) => `for ${signal}` }, shared);
      expect(shared.got).toEqual([name, name, `for ${name}`]);
    }
  });

  it("goes on by the default action once the signal is there, and by `timeout` where none came", async () => {
    const wait = new WaitForEvent("go", { timeout: "2h" });
    wait.on("default", note("came")).on("timeout", note("timed out"));
    const shared: Log = { log: [] };
    await ended(new Flow(wait), { onWait: () => "now" }, shared);
    vi.setSystemTime(START);
    await ended(new Flow(wait), { onWait: () => new Promise(() => {}) }, shared);
    expect(shared.log).toEqual(["came at 0", `timed out at ${2 * HOUR}`]);
  });

  it.each<[timeout: Duration, ms: number]>([
    [5, 5 * SECOND],
    [0, 0],
    ["7d", 7 * DAY],
    ["60d", 60 * DAY],
    ["3650d", 3650 * DAY],
  ])("ends after a timeout of %o with null, and not before", async (timeout, ms) => {
    const shared = { came: [] };
    const run = ended(new Flow(new Approval("approval", { timeout })), { onWait: () => new Promise(() => {}) }, shared);
    expect(await run).toEqual({ action: "timeout", atMs: ms });
    expect(shared.came).toEqual([["approval", null]]);
  });

  it.each([
    [9_999, "approved"],
    [10_001, "timeout"],
  ])("takes the signal that comes after %i ms or not, with a timeout of 10 s", async (ms, action) => {
    const shared = { came: [] };
    const onWait = () => new Promise((resolve) => setTimeout(resolve, ms, { approved: true }));
    const run = ended(new Flow(new Approval("approval", { timeout: 10 })), { onWait }, shared);
    expect(await run).toEqual({ action, atMs: Math.min(ms, 10_000) });
    expect(shared.came).toHaveLength(1);
  });

  it("has no end without a timeout", async () => {
    const run = vi.fn();
    new WaitForEvent("never").run({}, { onWait: () => new Promise(() => {}) }).then(run);
    await vi.advanceTimersByTimeAsync(5000 * DAY);
    expect(run).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("leaves no timer behind once the signal has come, which would keep the process awake", async () => {
    await new WaitForEvent("approval", { timeout: "7d" }).run({}, { onWait: () => true });
    expect(vi.getTimerCount()).toBe(0);
  });

  it("counts its timeout from when prep has ended, anew at each visit", async () => {
    const wait = new WaitForEvent("never", { timeout: 10 });
    const first = sleep(5);
    first.next(wait).on("timeout", sleep(5)).next(note("unreached"));
    (wait["_successors"].get("timeout") as SleepNode).next(wait);
    const times: number[] = [];
    const onWait = () => {
      times.push(Date.now() - START);
      if (times.length === 3) return "enough";
      return new Promise(() => {});
    };
    await ended(new Flow(first), { onWait }, { log: [] });
    expect(times).toEqual([5_000, 20_000, 35_000]);
  });

  it("fails as onWait does, and is not over before", async () => {
    const error = new Error("nobody asked");
    for (const onWait of [
      () => {
        throw error;
      },
      () => Promise.reject(error),
    ]) {
      for (const timeout of [undefined, "1h"]) {
        const wait = new WaitForEvent("approval", timeout ? { timeout } : {});
        wait.post = vi.fn();
        await expect(ended(new Flow(wait), { onWait })).rejects.toBe(error);
        expect(wait.post).not.toHaveBeenCalled();
      }
    }
  });

  it("does not hear of an onWait that fails after the timeout", async () => {
    const onWait = () => new Promise((_, reject) => setTimeout(reject, 20_000, new Error("too late")));
    const run = ended(new Flow(new WaitForEvent("approval", { timeout: 10 })), { onWait });
    expect(await run).toEqual({ action: "timeout", atMs: 10_000 });
    await settled();
  });

  it.each<[string, RunOptions | undefined]>([
    ["no options", undefined],
    ["others", { onEmit: () => {} }],
  ])("is an error in a run with %s, which says what is missing", async (_, options) => {
    const wait = new WaitForEvent("approval", { name: "ask", timeout: 5 });
    const message =
      "Expected `onWait` in the run's options, which gives the payload of signal `approval` to ask in memory: " +
      "flow.run(shared, { onWait: (name) => … })";
    await expect(ended(wait, options)).rejects.toThrow(new Error(message));
    await expect(ended(new Flow(new Flow(wait)), options)).rejects.toThrow(new Error(message));
    await expect(ended(new WaitForEvent("approval"), options)).rejects.toThrow("`approval` to WaitForEvent in");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("has no exec: one that is written is not called", async () => {
    const wait = new WaitForEvent("go");
    wait.exec = vi.fn();
    await ended(wait, { onWait: () => 1 });
    expect(wait.exec).not.toHaveBeenCalled();
  });

  it("is called by its name in descriptions, or else by its class", () => {
    const nodeOf = (wait: WaitForEvent) => new Flow(wait).describe().nodes[1];
    expect(nodeOf(new WaitForEvent("go"))).toEqual({ id: "WaitForEvent", name: "WaitForEvent", kind: "wait" });
    expect(nodeOf(new WaitForEvent("go", { name: "ask", timeout: 5 }))).toMatchObject({ id: "ask", kind: "wait" });
  });
});

describe("the name of a signal", () => {
  it.each(["a", "approval", "run.7_b-2", "7", "_", "A".repeat(64)])("may be %s", async (name) => {
    const onWait = vi.fn();
    await ended(new WaitForEvent(name), { onWait });
    expect(onWait).toHaveBeenCalledWith(name);
  });

  const expected = "to be a name (up to 64 letters, digits, dots, dashes or underscores), got ";

  it.each([
    ["", "``"],
    ["a b", "`a b`"],
    ["a/b", "`a/b`"],
    ["a\n", "`a\n`"],
    ["é", "`é`"],
    ["A".repeat(65), `\`${"A".repeat(64)}\``],
    [7, "a number"],
    [null, "null"],
    [{}, "an object"],
  ])("may not be %o, which is an error at once, or the run's where prep says it", async (name, got) => {
    expect(() => new WaitForEvent(name as string)).toThrow(
      new TypeError(`Expected the signal of WaitForEvent ${expected}${got}`),
    );
    const wait = new WaitForEvent("fine", { name: "ask" });
    wait.prep = () => name as string;
    const onWait = vi.fn();
    await expect(ended(new Flow(wait), { onWait })).rejects.toThrow(
      new TypeError(`Expected the signal of ask ${expected}${got}`),
    );
    expect(onWait).not.toHaveBeenCalled();
  });

  it("must be said by somebody", async () => {
    await expect(ended(new WaitForEvent(), { onWait: () => 1 })).rejects.toThrow(`${expected}undefined`);
  });
});

describe("the timeout of a wait", () => {
  it.each([-1, Number.NaN, Infinity, "soon", "0s", "4000d", null, {}])("may not be %o", (timeout) => {
    expect(() => new WaitForEvent("go", { timeout: timeout as Duration })).toThrow(RangeError);
    expect(() => new WaitForEvent("go", { timeout: timeout as Duration })).toThrow("of WaitForEvent to be");
  });

  it("is the option's, as its error says", () => {
    for (const timeout of ["soon", -1]) expect(() => new WaitForEvent("go", { timeout })).toThrow(/timeout/);
  });
});

describe("onWait", () => {
  /** Waits for the signal that its params name, and writes down what came. */
  class Each extends WaitForEvent<Log, { id: string }, string> {
    override prep() {
      return `go.${this._params.id}`;
    }
    override post(shared: Log, name: string, signal: Signal<string> | null): PostResult {
      shared.log.push(`${name}: ${signal?.payload}`);
    }
  }
  const prep = () => range(3).map((id) => ({ id: String(id) }));

  it("reaches the nodes of nested flows and of all branches", async () => {
    const inner = new ParallelBatchFlow(new Flow(new Each()));
    inner.prep = () => ["x", "y"].map((id) => ({ id }));
    const inOrder = new BatchFlow(new Flow(new Each()));
    inOrder.prep = prep;
    const first = new Flow(new Flow(new Each()));
    first.setParams({ id: "nested" });
    first.next(inOrder).next(new Flow(inner));
    const root = new Flow(first);
    root.setParams({ id: "nested" });
    const asked: string[] = [];
    const onWait = (signal: string) => {
      asked.push(signal);
      return signal.toUpperCase();
    };
    const shared: Log = { log: [] };
    await ended(new AsyncFlow(root).setParams({ id: "nested" }), { onWait }, shared);
    expect(asked).toEqual(["go.nested", "go.0", "go.1", "go.2", "go.x", "go.y"]);
    expect(shared.log).toEqual(asked.map((signal) => `${signal}: ${signal.toUpperCase()}`));
  });

  it("lets each branch of a parallel batch flow wait for its own, in any order", async () => {
    const flow = new ParallelBatchFlow(new Flow(new Each()));
    flow.prep = prep;
    const waits = range(3).map(() => gate<string>());
    const shared: Log = { log: [] };
    const run = flow.run(shared, { onWait: (signal) => waits[Number(signal.slice(3))]?.promise });
    for (const id of [2, 0, 1]) {
      waits[id]?.open(`payload ${id}`);
      await settled();
    }
    await run;
    expect(shared.log).toEqual(["go.2: payload 2", "go.0: payload 0", "go.1: payload 1"]);
  });

  it("lets branches of a parallel batch flow time out by themselves", async () => {
    const timed = new Each(undefined, { timeout: 10 });
    const flow = new ParallelBatchFlow(new Flow(timed));
    flow.prep = prep;
    const shared: Log = { log: [] };
    const onWait = (signal: string) => (signal === "go.1" ? "here" : new Promise(() => {}));
    await ended(flow, { onWait }, shared);
    expect(shared.log).toEqual(["go.1: here", "go.0: undefined", "go.2: undefined"]);
  });

  it("is each run's own, for two runs of one flow or node at once, and none of a later one's", async () => {
    const wait = new WaitForEvent<{ got?: unknown }>("go");
    wait.post = (shared, _name, signal) => {
      shared.got = signal?.payload;
    };
    for (const root of [new Flow(wait), wait]) {
      const shareds: { got?: unknown }[] = [{}, {}];
      await Promise.all(
        shareds.map((shared, run) =>
          root.run(shared, {
            onWait: async () => {
              await settled();
              return run;
            },
          }),
        ),
      );
      expect(shareds).toEqual([{ got: 0 }, { got: 1 }]);
      await expect(root.run({})).rejects.toThrow("Expected `onWait`");
    }
    expect("_waiter" in wait).toBe(false);
    expect("_waiter" in wait.clone()).toBe(false);
  });

  it("is called as a method of the options that run was given, beside onEmit", async () => {
    const options = {
      payload: "mine",
      told: [] as Emitted[],
      onWait(_signal: string) {
        return this.payload;
      },
      onEmit(event: Emitted) {
        this.told.push(event);
      },
    };
    const wait = new WaitForEvent("go", { name: "ask" });
    wait.post = function (this: WaitForEvent, _shared, _name, signal) {
      this.emit(signal?.payload);
    };
    for (const root of [wait, new Flow(wait)]) await ended(root, options);
    const told = { node: "ask", index: null, data: "mine" };
    expect(options.told).toEqual([told, told]);
  });

  it("is there through a _run and an _orchestrate that a subclass has overridden", async () => {
    class Own extends WaitForEvent<{ got?: unknown }> {
      override async _run(shared: { got?: unknown }) {
        return await super._run(shared);
      }
      override post(shared: { got?: unknown }, _name: string, signal: Signal | null): PostResult {
        shared.got = signal?.payload;
      }
    }
    class Twice extends Flow {
      protected override async _orchestrate(shared: unknown) {
        await super._orchestrate(shared);
        return await super._orchestrate(shared);
      }
    }
    const shared: { got?: unknown } = {};
    let count = 0;
    await ended(new Flow(new Twice(new Own("go"))), { onWait: () => ++count }, shared);
    expect(shared.got).toBe(2);
  });
});
