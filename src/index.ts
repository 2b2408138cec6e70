export { type OpenAiApi, OpenAiBatchNode, type OpenAiBatchOptions, type OpenAiJob } from "./batches/openai.ts";
export {
  AsyncBatchFlow,
  AsyncBatchNode,
  AsyncFlow,
  AsyncNode,
  AsyncParallelBatchFlow,
  AsyncParallelBatchNode,
} from "./core/async.ts";
export type { ExecContext } from "./core/attempt.ts";
export {
  BatchApiNode,
  type BatchApiOptions,
  type BatchLine,
  type BatchResult,
  type BatchState,
} from "./core/batch-api.ts";
export type { FlowDescription, NodeDescription } from "./core/describe.ts";
export { NonRetryableError, RateLimitedError, RetryAfterError } from "./core/errors.ts";
export { BatchFlow, Flow, ParallelBatchFlow } from "./core/flow.ts";
export type { Emitted, RunOptions } from "./core/follow.ts";
export type { PollPolicy } from "./core/jobs.ts";
export {
  type Action,
  BaseNode,
  BatchNode,
  type BranchEnd,
  type Items,
  Node,
  type NodeKind,
  type NonIterableObject,
  ParallelBatchNode,
  type PostResult,
  type Results,
} from "./core/node.ts";
export type { BatchFlowOptions, FlowOptions, LimitUse, NodeOptions } from "./core/options.ts";
export type { FailurePolicy, Outcome, Tolerate } from "./core/tolerance.ts";
export type { MaybePromise } from "./core/turn.ts";
export { type Duration, type Signal, SleepNode, sleep, WaitForEvent, type WaitingOptions } from "./core/waiting.ts";
