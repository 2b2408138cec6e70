import { expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import * as pocketflare from "../../src/index.ts";
import { VERSION } from "../../src/version.ts";

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
    "RateLimitedError",
    "RetryAfterError",
  ]);
});

it("tells the package's own version", () => {
  expect(VERSION).toBe(manifest.version);
});
