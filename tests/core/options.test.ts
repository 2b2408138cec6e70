import { describe, expect, it } from "vitest";
import { BaseNode, BatchFlow, BatchNode, Flow, Node, ParallelBatchFlow, ParallelBatchNode } from "../../src/index.ts";

class Summaries extends ParallelBatchNode {}

describe("options of a node", () => {
  it("are two positional numbers or an object, which mean the same", () => {
    expect(new Node(3, 10)).toMatchObject({ maxRetries: 3, wait: 10 });
    expect(new Node({ maxRetries: 3, wait: 10 })).toMatchObject({ maxRetries: 3, wait: 10 });
    expect(new Node()).toMatchObject({ maxRetries: 1, wait: 0 });
    expect(new Node({})).toMatchObject({ maxRetries: 1, wait: 0 });
    expect(new Node(undefined, 5)).toMatchObject({ maxRetries: 1, wait: 5 });
  });

  it.each([0, -1, 1.5, Number.NaN])("refuse %s as maxRetries, however it comes", (maxRetries) => {
    const message = `Expected \`maxRetries\` of Summaries to be a whole number of at least 1, or Infinity, got \`${maxRetries}\``;
    expect(() => new Summaries(maxRetries)).toThrow(new RangeError(message));
    expect(() => new Summaries({ maxRetries })).toThrow(new RangeError(message));
  });

  it("let maxRetries be Infinity", () => {
    expect(new Node(Infinity, 1).maxRetries).toBe(Infinity);
  });

  it.each([
    [{ wait: -1 }, "`wait` of Summaries to be a number of seconds, 0 or more, got `-1`"],
    [{ wait: Infinity }, "`wait` of Summaries to be a number of seconds, 0 or more, got `Infinity`"],
    [{ maxWait: -1 }, "`maxWait` of Summaries to be a number of seconds, 0 or more, got `-1`"],
    [{ maxWait: Infinity }, "`maxWait` of Summaries to be a number of seconds, 0 or more, got `Infinity`"],
    [{ backoff: 0.5 }, "`backoff` of Summaries to be a factor of at least 1, got `0.5`"],
    [{ jitter: 1.1 }, "`jitter` of Summaries to be a share from 0 to 1, got `1.1`"],
    [{ concurrency: 0 }, "`concurrency` of Summaries to be a whole number of at least 1, got `0`"],
    [{ batchSize: 0 }, "`batchSize` of Summaries to be a whole number of at least 1, got `0`"],
    [{ batchSize: 1.5 }, "`batchSize` of Summaries to be a whole number of at least 1, got `1.5`"],
    [{ batchSize: Infinity }, "`batchSize` of Summaries to be a whole number of at least 1, got `Infinity`"],
    [{ batchSize: "9" as unknown as number }, "`batchSize` of Summaries to be a whole number of at least 1, got `9`"],
    [{ perExecutor: 0 }, "`perExecutor` of Summaries to be a whole number of at least 1, got `0`"],
    [{ timeout: 0 }, "`timeout` of Summaries to be a number of seconds above 0 and up to 540, got `0`"],
    [{ timeout: 541 }, "`timeout` of Summaries to be a number of seconds above 0 and up to 540, got `541`"],
    [{ wait: "2" as unknown as number }, "`wait` of Summaries to be a number of seconds, 0 or more, got `2`"],
  ])("refuse %o", (options, message) => {
    expect(() => new Summaries(options)).toThrow(new RangeError(`Expected ${message}`));
  });

  it("may be undefined one by one, which is the default", () => {
    const options: object = { maxRetries: undefined, wait: undefined, timeout: undefined };
    expect(new Summaries(options)).toMatchObject({ maxRetries: 1, wait: 0 });
    const none: object = { batchSize: undefined, split: undefined };
    expect(new Summaries(none)).toMatchObject({ maxRetries: 1, wait: 0 });
    expect(new Node(none)).toMatchObject({ maxRetries: 1, wait: 0 });
  });
});

describe("options of calls for many items", () => {
  it("are for batch nodes", () => {
    for (const Batch of [BatchNode, ParallelBatchNode]) {
      for (const options of [{ batchSize: 1 }, { batchSize: 9, split: true }, { batchSize: 9, split: false }]) {
        expect(new Batch(options)).toBeInstanceOf(Batch);
      }
    }
    const message = (owner: string) =>
      new TypeError(`Expected \`batchSize\` of a batch node, got it of ${owner}, which has no items`);
    expect(() => new Node({ batchSize: 5 })).toThrow(message("Node"));
    expect(() => new Node({ batchSize: 5, split: true })).toThrow(message("Node"));
    expect(() => new Flow(new Node(), { batchSize: 5 } as object)).toThrow(message("Flow"));
  });

  it("are not for batch flows, whose branches are no items of one call", () => {
    expect(() => new BatchFlow(new Node(), { batchSize: 5 } as object)).toThrow(TypeError);
    expect(() => new ParallelBatchFlow(new Node(), { batchSize: 5 } as object)).toThrow(TypeError);
  });

  it.each([
    [{ split: true }, "it without a `batchSize`"],
    [{ split: false }, "it without a `batchSize`"],
    [{ split: true, batchSize: undefined }, "it without a `batchSize`"],
    [{ batchSize: 5, split: "halves" }, "a string"],
    [{ batchSize: 5, split: 2 }, "a number"],
    [{ batchSize: 5, split: null }, "null"],
  ])("refuse %o", (options, got) => {
    expect(() => new Summaries(options as object)).toThrow(
      new TypeError(`Expected \`split\` of Summaries to be true or false beside a \`batchSize\`, got ${got}`),
    );
  });

  it("refuse `split` of a plain node too", () => {
    expect(() => new Node({ split: true })).toThrow(TypeError);
  });
});

describe("options of a flow", () => {
  it("are checked as a node's are", () => {
    expect(() => new ParallelBatchFlow(new Node(), { concurrency: -1 })).toThrow(
      "Expected `concurrency` of ParallelBatchFlow to be a whole number of at least 1, got `-1`",
    );
  });

  it.each([0, -1, 1.5, Number.NaN, Infinity])("refuse %s as maxSteps", (maxSteps) => {
    const message = (owner: string) =>
      new RangeError(`Expected \`maxSteps\` of ${owner} to be a whole number of at least 1, got \`${maxSteps}\``);
    expect(() => new Flow(new Node(), { maxSteps })).toThrow(message("Flow"));
    expect(() => new BatchFlow(new Node(), { maxSteps })).toThrow(message("BatchFlow"));
  });

  it("need not be given", () => {
    expect(new Flow(new Node()).start).toBeInstanceOf(BaseNode);
    expect(new BatchFlow(new Node()).start).toBeInstanceOf(BaseNode);
  });
});
