import { type ExecContext, NonRetryableError, RetryAfterError } from "../../../src/index.ts";
import { type Programs, pause, type Shared } from "./program.ts";

interface Self {
  currentRetry: number;
}

/** Fails until it was tried so often; tells what the attempt saw. */
function flaky(this: Self, failures: number, { attempt }: ExecContext) {
  if (this.currentRetry < failures) throw new Error(`busy ${this.currentRetry}`);
  return `${failures}: retry ${this.currentRetry}, attempt ${attempt}`;
}

function fallback(this: Self, item: unknown, error: Error) {
  return `${item} gave up at retry ${this.currentRetry}: ${error.name}: ${error.message}`;
}

function keep(shared: Shared, _: unknown, results: unknown) {
  shared.results = results;
}

const never = () => {
  throw new Error("busy");
};

/** Retries, fallbacks, and what is left when there are none. */
export const failures: Programs = {
  "a node that succeeds at its third attempt": {
    flow: ({ node, flow }) => flow(node({ prep: () => 2, exec: flaky, post: keep }, 3, 0.01)),
  },
  "a node that waits longer each time": {
    flow: ({ node, flow }) =>
      flow(node({ prep: () => 3, exec: flaky, post: keep }, { maxRetries: 4, wait: 0.01, backoff: 2, jitter: 0.5 })),
  },
  "items that fail as often as their number says, each on its own": {
    flow: ({ parallel, flow }) =>
      flow(parallel({ prep: () => [0, 1, 2, 1, 0, 2, 1, 2, 0, 1], exec: flaky, post: keep }, 3, 0.01)),
  },
  "items of a batch in order that fail as often as their number says": {
    flow: ({ batch, flow }) => flow(batch({ prep: () => [1, 0, 2], exec: flaky, post: keep }, 3, 0.01)),
  },
  "a fallback for each item that ran out of attempts": {
    flow: ({ parallel, flow }) =>
      flow(parallel({ prep: () => [0, 2, 9, 1], exec: flaky, execFallback: fallback, post: keep }, 2)),
  },
  "a fallback in a batch in order": {
    flow: ({ batch, flow }) =>
      flow(batch({ prep: () => [9, 0, 9], exec: flaky, execFallback: fallback, post: keep }, 2, 0.01)),
  },
  "a fallback set on the node itself": {
    flow: ({ node, flow }) => {
      const own = node({ prep: () => 9, exec: never, post: keep });
      own.execFallback = (item, error) => `${item}: ${error.message}`;
      return flow(own);
    },
  },
  "an error that no retry can mend goes to the fallback at once": {
    flow: ({ node, flow }) =>
      flow(
        node(
          {
            prep: () => "prompt",
            exec() {
              throw new NonRetryableError("too long", { status: 400 });
            },
            execFallback: fallback,
            post: keep,
          },
          5,
          60,
        ),
      ),
  },
  "an error that says when to come again": {
    flow: ({ node, flow }) =>
      flow(
        node(
          {
            exec() {
              if (this.currentRetry === 0) throw new RetryAfterError("busy", { retryAfterMs: 20, status: 429 });
              return this.currentRetry;
            },
            post: keep,
          },
          2,
        ),
      ),
  },
  "an exec that takes too long": {
    flow: ({ node, flow }) =>
      flow(
        node(
          { prep: () => "item", exec: () => new Promise(() => {}), execFallback: fallback, post: keep },
          { maxRetries: 2, timeout: 0.02 },
        ),
      ),
  },
  "a node out of attempts": {
    flow: ({ node, flow }) => flow(node({ prep: () => 9, exec: flaky }, 3)),
    fails: "busy 2",
  },
  "a fallback that throws": {
    flow: ({ node, flow }) =>
      flow(
        node(
          {
            exec: never,
            execFallback() {
              throw new RangeError("no way");
            },
          },
          { maxRetries: 2 },
        ),
      ),
    fails: "no way",
  },
  "a batch that stops at the item that fails": {
    flow: ({ batch, flow }) => flow(batch({ prep: () => [0, 1, 9, 2, 9], exec: flaky, post: keep }, 3)),
    fails: "busy 2",
  },
  "a parallel batch with an item that fails": {
    flow: ({ parallel, flow }) => flow(parallel({ prep: () => [0, 1, 9, 2], exec: flaky, post: keep }, 3)),
    fails: "busy 2",
  },
  "a prep that throws": {
    flow: ({ node, flow }) => flow(node({ prep: never })),
    fails: "busy",
  },
  "a post that throws late": {
    flow: ({ node, flow }) =>
      flow(
        node({
          async post() {
            await pause(1);
            never();
          },
        }),
      ),
    fails: "busy",
  },
  "a flow's own post that throws": {
    flow: ({ node, flow }) => flow(node(), { post: never }),
    fails: "busy",
  },
  "a list that is none": {
    flow: ({ parallel, flow }) => flow(parallel({ prep: () => ({ length: 2 }) }, { name: "Listless" })),
    fails: "Expected prep of Written to return items (an array, any iterable or async iterable), got an object",
  },
  "an async list that breaks": {
    flow: ({ batch, flow }) =>
      flow(
        batch({
          async *prep() {
            yield 1;
            never();
          },
        }),
      ),
    fails: "busy",
  },
};
