import { expect, it } from "vitest";
import * as pocketflare from "../../src/index.ts";

it("exports these names and no others", () => {
  expect(Object.keys(pocketflare).toSorted()).toEqual([
    "AsyncBatchFlow",
    "AsyncBatchNode",
    "AsyncFlow",
    "AsyncNode",
    "AsyncParallelBatchFlow",
    "AsyncParallelBatchNode",
    "BaseNode",
    "BatchFlow",
    "BatchNode",
    "Flow",
    "Node",
    "NonRetryableError",
    "ParallelBatchFlow",
    "ParallelBatchNode",
    "RetryAfterError",
  ]);
});
