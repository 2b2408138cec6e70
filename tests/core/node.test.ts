import { describe, expect, it, vi } from "vitest";
import { Node, NonRetryableError, RetryAfterError } from "../../src/index.ts";
import { spellings } from "./spelling.ts";
import { catchWarnings, settled, stopTime } from "./support.ts";

describe.each(spellings)("a node $spelling", ({ node }) => {
  const warnings = catchWarnings();

  it("runs prep, then exec with what prep returned, then post with both, and returns post's action", async () => {
    const calls: unknown[][] = [];
    const greet = node({
      prep(shared: { name: string }) {
        calls.push(["prep", shared]);
        return shared.name;
      },
      exec(name: string) {
        calls.push(["exec", name]);
        return `Hello, ${name}`;
      },
      post(shared: object, prepRes: string, execRes: string) {
        calls.push(["post", shared, prepRes, execRes]);
        return "greeted";
      },
    });
    const shared = { name: "Ada" };
    expect(await greet.run(shared)).toBe("greeted");
    expect(calls).toEqual([
      ["prep", shared],
      ["exec", "Ada"],
      ["post", shared, "Ada", "Hello, Ada"],
    ]);
    expect(calls[2]?.[1]).toBe(shared);
  });

  it.each([
    ["values", <T>(value: T) => value],
    ["promises", <T>(value: T) => Promise.resolve(value)],
  ])("takes hooks that return %s", async (_, wrap) => {
    const seen: unknown[] = [];
    const failing = node(
      {
        prep: () => wrap("prepared"),
        exec() {
          throw new Error("no");
        },
        execFallback: () => wrap("mended"),
        post(_shared: object, prepRes: string, execRes: string) {
          seen.push(prepRes, execRes);
          return wrap("next");
        },
      },
      1,
    );
    expect(await failing.run({}).catch(() => "failed")).toBe("next");
    expect(seen).toEqual(["prepared", "mended"]);
  });

  it("waits for any thenable, callable ones included, as await does", async () => {
    const promise = Promise.resolve("awaited");
    const callable = new Proxy(() => {}, { get: (_, key) => Reflect.get(promise, key).bind(promise) });
    const results: unknown[] = [];
    const remote = node({
      exec: () => callable,
      post(_shared: object, _prepRes: unknown, execRes: string) {
        results.push(execRes);
      },
    });
    await remote.run({});
    expect(results).toEqual(["awaited"]);
  });

  it("has hooks that do nothing", async () => {
    expect(await node().run({})).toBeUndefined();
  });

  it("gives post the very object that prep returned, so that changes to it are changes to shared", async () => {
    const shared = { list: [1] };
    await node({
      prep: (shared: { list: number[] }) => shared.list,
      post(_shared: object, prepRes: number[]) {
        prepRes.push(2);
      },
    }).run(shared);
    expect(shared.list).toEqual([1, 2]);
  });

  it.each(["prep", "post"] as const)("does not retry %s, which rejects the run", async (hook) => {
    let calls = 0;
    const failing = node(
      {
        [hook]() {
          calls++;
          throw new Error(`${hook} failed`);
        },
        execFallback: () => "must not mend it",
      },
      5,
    );
    await expect(failing.run({})).rejects.toThrow(`${hook} failed`);
    expect(calls).toBe(1);
  });

  it("counts maxRetries as attempts in all", async () => {
    let calls = 0;
    const failing = node(
      {
        exec() {
          calls++;
          throw new Error(`attempt ${calls}`);
        },
      },
      3,
    );
    await expect(failing.run({})).rejects.toThrow("attempt 3");
    expect(calls).toBe(3);
  });

  it("stops retrying once exec succeeds", async () => {
    let calls = 0;
    const results: unknown[] = [];
    await node(
      {
        exec() {
          if (++calls < 2) throw new Error("not yet");
          return "done";
        },
        execFallback: () => "fallback",
        post(_shared: object, _prepRes: unknown, execRes: string) {
          results.push(execRes);
        },
      },
      5,
    ).run({});
    expect({ calls, results }).toEqual({ calls: 2, results: ["done"] });
  });

  it("attempts once by default, and by default rethrows the very error", async () => {
    let calls = 0;
    const error = new Error("no");
    const failing = node({
      exec() {
        calls++;
        throw error;
      },
    });
    await expect(failing.run({})).rejects.toBe(error);
    expect(calls).toBe(1);
  });

  it("gives execFallback prepRes and the last error, and takes its value as the result", async () => {
    const seen: unknown[] = [];
    let calls = 0;
    await node(
      {
        prep: () => "question",
        exec() {
          throw new Error(`no ${++calls}`);
        },
        execFallback(prepRes: string, error: Error) {
          seen.push(prepRes, error.message);
          return "default answer";
        },
        post(_shared: object, _prepRes: unknown, execRes: string) {
          seen.push(execRes);
        },
      },
      2,
    ).run({});
    expect(seen).toEqual(["question", "no 2", "default answer"]);
  });

  it("skips post when the fallback throws", async () => {
    const post = vi.fn();
    const failing = node({ exec: () => Promise.reject(new Error("no")), post });
    await expect(failing.run({})).rejects.toThrow("no");
    expect(post).not.toHaveBeenCalled();
  });

  it("shows exec and execFallback how many attempts have failed, and starts again from 0 in the next run", async () => {
    const seen: unknown[] = [];
    const failing = node(
      {
        exec() {
          seen.push(this.currentRetry);
          throw new Error("no");
        },
        execFallback() {
          seen.push(`fallback ${this.currentRetry}`);
        },
      },
      3,
    );
    await failing.run({});
    await failing.run({});
    expect(seen).toEqual([0, 1, 2, "fallback 2", 0, 1, 2, "fallback 2"]);
  });

  it("takes an execFallback, and any other hook, from the instance", async () => {
    const results: unknown[] = [];
    const patched = node({
      exec: () => Promise.reject(new Error("no")),
      post(_shared: object, _prepRes: unknown, execRes: string) {
        results.push(execRes);
      },
    });
    patched.execFallback = async (_prepRes, error) => `from the instance: ${error.message}`;
    await patched.run({});
    await patched.clone().run({});
    expect(results).toEqual(["from the instance: no", "from the instance: no"]);
  });

  it("tells exec its attempt, a signal that is not aborted, and a key that differs between attempts and between runs", async () => {
    const attempts: number[] = [];
    const keys = new Set<string>();
    const failing = node(
      {
        exec(_item: unknown, context) {
          attempts.push(context.attempt);
          keys.add(context.idempotencyKey);
          expect(context.signal.aborted).toBe(false);
          throw new Error("no");
        },
        execFallback: () => undefined,
      },
      2,
    );
    await failing.run({});
    await failing.run({});
    expect(attempts).toEqual([1, 2, 1, 2]);
    expect(keys.size).toBe(4);
  });

  it("runs on the instance itself, whose fields then last", async () => {
    const counter = node({
      prep() {
        this["runs"] = ((this["runs"] as number) ?? 0) + 1;
      },
    });
    await counter.run({});
    await counter.run({});
    expect(counter).toHaveProperty("runs", 2);
  });

  it("reads its params from setParams, which returns the node", async () => {
    const seen: unknown[] = [];
    const reader = node({
      exec() {
        seen.push(this._params);
      },
    });
    expect(reader.setParams({ lang: "fr" })).toBe(reader);
    await reader.run({});
    expect(seen).toEqual([{ lang: "fr" }]);
  });

  it("warns when it is run although it has successors, and runs alone", async () => {
    const second = vi.fn();
    const first = node({ post: () => "default" });
    first.next(node({ prep: second }));
    expect(await first.run({})).toBe("default");
    expect(second).not.toHaveBeenCalled();
    expect(warnings()).toEqual(["Node won't run successors. Use Flow."]);
  });

  it("returns its argument from next, and itself from on and end", () => {
    const [first, second] = [node(), node()];
    expect(first.next(second)).toBe(second);
    expect(first.on("other", second)).toBe(first);
    expect(first.end("done")).toBe(first);
    expect(warnings()).toEqual([]);
  });

  it("warns of a second successor for one action, and takes it", () => {
    const [first, second, third] = [node(), node(), node()];
    first.on("again", second).on("again", third);
    first.next(second);
    first.next(third);
    expect(first.getNextNode("again")).toBe(third);
    expect(first.getNextNode()).toBe(third);
    expect(warnings()).toEqual([
      "Overwriting successor for action 'again'",
      "Overwriting successor for action 'default'",
    ]);
  });

  it("takes nothing and the empty string as the default action", () => {
    const [first, second] = [node(), node()];
    first.next(second);
    expect(first.getNextNode()).toBe(second);
    expect(first.getNextNode(undefined)).toBe(second);
    expect(first.getNextNode("")).toBe(second);
  });

  it("has no next node without successors, silently; with some, it names the action and those it has", () => {
    const alone = node();
    expect(alone.getNextNode("anything")).toBeUndefined();
    expect(warnings()).toEqual([]);
    const chooser = node().on("a", alone).on("b", alone);
    expect(chooser.getNextNode("x")).toBeUndefined();
    expect(chooser.getNextNode()).toBeUndefined();
    expect(warnings()).toEqual(["Flow ends: 'x' not found in [a,b]", "Flow ends: 'default' not found in [a,b]"]);
  });

  it("is silent about an action that was declared an end", () => {
    const chooser = node().on("again", node()).end("done", "default");
    expect(chooser.getNextNode("done")).toBeUndefined();
    expect(chooser.getNextNode()).toBeUndefined();
    expect(warnings()).toEqual([]);
    chooser.getNextNode("other");
    expect(warnings()).toHaveLength(1);
  });

  it("clones shallowly: own params, successors and ends, everything else shared", () => {
    const original = node().on("a", node());
    original.setParams({ lang: "fr" });
    const cache = new Map();
    Object.assign(original, { cache, count: 1 });
    const copy = original.clone();
    expect(copy).toBeInstanceOf(Node);
    expect(copy.constructor).toBe(original.constructor);
    expect(copy).toMatchObject({ cache, count: 1, maxRetries: 1, wait: 0 });
    expect((copy as unknown as { cache: unknown }).cache).toBe(cache);

    Object.assign(copy, { count: 2 });
    copy.on("b", node()).end("c");
    copy["_params"]["lang"] = "de";
    expect(original).toHaveProperty("count", 1);
    expect(original["_params"]).toEqual({ lang: "fr" });
    original.getNextNode("b");
    original.getNextNode("c");
    expect(warnings()).toEqual(["Flow ends: 'b' not found in [a]", "Flow ends: 'c' not found in [a]"]);
  });
});

describe.each(spellings)("the wait of a node $spelling", ({ node }) => {
  stopTime();

  it("is slept between attempts, not before the first and not after the last", async () => {
    let calls = 0;
    const failing = node(
      {
        exec() {
          throw new Error(`attempt ${++calls}`);
        },
      },
      3,
      10,
    );
    const run = failing.run({});
    const outcome = vi.fn();
    run.then(outcome, outcome);

    await settled();
    expect(calls).toBe(1);
    await vi.advanceTimersByTimeAsync(9_999);
    expect(calls).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(calls).toBe(2);
    expect(outcome).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(calls).toBe(3);
    expect(outcome).toHaveBeenCalledOnce();
    expect(vi.getTimerCount()).toBe(0);
    await expect(run).rejects.toThrow("attempt 3");
  });

  it("sets no timer at all when it is 0", async () => {
    const failing = node({ exec: () => Promise.reject(new Error("no")), execFallback: () => "mended" }, 5, 0);
    await failing.run({});
    expect(vi.getTimerCount()).toBe(0);
  });

  it("follows backoff", async () => {
    let calls = 0;
    const failing = node(
      {
        exec() {
          calls++;
          throw new Error("no");
        },
        execFallback: () => undefined,
      },
      { maxRetries: 4, wait: 1, backoff: 3 },
    );
    const run = failing.run({});
    const callsAfter: number[] = [];
    for (const seconds of [1, 2, 1, 9]) {
      await vi.advanceTimersByTimeAsync(seconds * 1000);
      callsAfter.push(calls);
    }
    expect(callsAfter).toEqual([2, 2, 3, 4]);
    await run;
  });

  it("is read when it is needed, so that a constructor may set it late", async () => {
    const failing = node({ exec: () => Promise.reject(new Error("no")), execFallback: () => undefined });
    failing.maxRetries = 2;
    failing.wait = 5;
    const run = failing.run({});
    await settled();
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(5_000);
    await run;
  });

  it("is as long as a RetryAfterError asks for, where its own is shorter", async () => {
    let calls = 0;
    const busy = node(
      {
        exec() {
          if (++calls === 1) throw new RetryAfterError("busy", { retryAfterMs: 2_500, status: 429 });
        },
      },
      2,
    );
    const run = busy.run({});
    await vi.advanceTimersByTimeAsync(2_499);
    expect(calls).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(calls).toBe(2);
    await run;
  });

  it("is not slept for a NonRetryableError, which goes to the fallback at once", async () => {
    const seen: unknown[] = [];
    const refused = node(
      {
        exec: () => Promise.reject(new NonRetryableError("too long", { status: 400 })),
        execFallback(_prepRes: unknown, error: Error) {
          seen.push(error.name, this.currentRetry);
        },
      },
      5,
      10,
    );
    await refused.run({});
    expect(seen).toEqual(["NonRetryableError", 0]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe.each(spellings)("the timeout of a node $spelling", ({ node }) => {
  stopTime();

  it("fails the attempt, aborts its signal, and leaves the next attempt a signal of its own", async () => {
    const signals: AbortSignal[] = [];
    const results: unknown[] = [];
    const slow = node(
      {
        exec(_item: unknown, context) {
          signals.push(context.signal);
          return context.attempt === 1 ? new Promise(() => {}) : "in time";
        },
        post(_shared: object, _prepRes: unknown, execRes: string) {
          results.push(execRes);
        },
      },
      { maxRetries: 2, timeout: 3 },
    );
    const run = slow.run({});
    await vi.advanceTimersByTimeAsync(2_999);
    expect(signals.map((signal) => signal.aborted)).toEqual([false]);
    await vi.advanceTimersByTimeAsync(1);
    await run;
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
    expect(results).toEqual(["in time"]);
  });

  it("names itself in the error, also to an exec that asks for its signal only afterwards", async () => {
    let context: { signal: AbortSignal } | undefined;
    const slow = node(
      {
        exec(_item: unknown, given) {
          context = given;
          return new Promise(() => {});
        },
      },
      { timeout: 0.5 },
    );
    const run = slow.run({}).catch((error: Error) => error);
    await vi.advanceTimersByTimeAsync(500);
    const error = await run;
    expect(error).toMatchObject({ name: "TimeoutError", message: "exec did not end within its timeout of 0.5 s" });
    expect(context?.signal.aborted).toBe(true);
    expect(context?.signal.reason).toBe(error);
  });

  it.each([
    ["ends", () => Promise.resolve("result")],
    ["fails", () => Promise.reject(new Error("no"))],
    ["does not suspend", () => "result"],
  ])("leaves no timer behind an exec that %s", async (_, exec) => {
    await node({ exec, execFallback: () => undefined }, { timeout: 60 }).run({});
    expect(vi.getTimerCount()).toBe(0);
  });

  it("does not mind what becomes of an exec it gave up on", async () => {
    let fail = (_error: Error) => {};
    const slow = node(
      {
        exec: () =>
          new Promise((_, reject) => {
            fail = reject;
          }),
        execFallback: () => "mended",
      },
      { timeout: 1 },
    );
    const run = slow.run({});
    await vi.advanceTimersByTimeAsync(1_000);
    await run;
    fail(new Error("long after")); // An unhandled rejection would fail this test run.
    await settled();
  });
});
