import { readFileSync } from "node:fs";
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
    "BatchApiNode",
    "BatchFlow",
    "BatchNode",
    "Flow",
    "Node",
    "NonRetryableError",
    "OpenAiBatchNode",
    "ParallelBatchFlow",
    "ParallelBatchNode",
    "RateLimitedError",
    "RetryAfterError",
    "SleepNode",
    "WaitForEvent",
    "sleep",
  ]);
});

it("exports these types and no others", () => {
  const source = readFileSync(new URL("../../src/index.ts", import.meta.url), "utf8");
  const types = [...source.matchAll(/export (type )?\{([^}]*)\}/g)].flatMap(([, areTypes, list = ""]) =>
    [...list.matchAll(areTypes ? /(\w+)/g : /type (\w+)/g)].map(([, name]) => name),
  );
  expect(types.toSorted()).toEqual([
    "Action",
    "BatchApiOptions",
    "BatchFlowOptions",
    "BatchLine",
    "BatchResult",
    "BatchState",
    "BranchEnd",
    "Duration",
    "Emitted",
    "ExecContext",
    "FailurePolicy",
    "FlowDescription",
    "FlowOptions",
    "Items",
    "LimitUse",
    "MaybePromise",
    "NodeDescription",
    "NodeKind",
    "NodeOptions",
    "NonIterableObject",
    "OpenAiApi",
    "OpenAiBatchOptions",
    "OpenAiJob",
    "Outcome",
    "PollPolicy",
    "PostResult",
    "Results",
    "RunOptions",
    "Signal",
    "Tolerate",
    "WaitingOptions",
  ]);
});

it("tells the package's own version", () => {
  expect(VERSION).toBe(manifest.version);
});
