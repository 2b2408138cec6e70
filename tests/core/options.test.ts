import { describe, expect, it } from "vitest";
import { BaseNode, BatchFlow, Flow, Node, ParallelBatchFlow, ParallelBatchNode } from "../../src/index.ts";

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
