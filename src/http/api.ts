import type { InferOutput } from "valibot";
import type * as schemas from "./schemas.ts";

// What the API answers, as its clients know it.

export type Run = InferOutput<typeof schemas.run>;
export type RunList = InferOutput<typeof schemas.runList>;
export type RunSummary = RunList["runs"][number];
export type RunOutline = Omit<Run, "output">;
export type RunStatus = Run["status"];
export type ItemList = InferOutput<typeof schemas.itemList>;
export type Item = ItemList["items"][number];
export type ItemStatus = Item["status"];
export type ItemCounts = Run["items"];
export type ItemDetail = InferOutput<typeof schemas.itemDetail>;
export type NodeList = InferOutput<typeof schemas.nodeList>;
export type NodeProgress = NodeList["nodes"][number];
export type StepList = InferOutput<typeof schemas.stepList>;
export type Step = StepList["steps"][number];
export type Grid = InferOutput<typeof schemas.grid>;
export type ErrorList = InferOutput<typeof schemas.errorList>;
export type ErrorGroup = ErrorList["errors"][number];
export type Log = InferOutput<typeof schemas.log>;
export type LogEvent = Log["events"][number];
export type LiveNews = InferOutput<typeof schemas.liveNews>;
export type FlowList = InferOutput<typeof schemas.flowList>;
export type Flow = InferOutput<typeof schemas.flow>;
export type LimitList = InferOutput<typeof schemas.limitList>;
export type Limit = InferOutput<typeof schemas.limit>;
export type LimitKey = Limit["keys"][number];
export type LimitChange = InferOutput<typeof schemas.limitChange>;
export type CronList = InferOutput<typeof schemas.cronList>;
export type Cron = InferOutput<typeof schemas.cron>;
export type WebhookList = InferOutput<typeof schemas.webhookList>;
export type Webhook = WebhookList["webhooks"][number];
export type Queue = InferOutput<typeof schemas.queue>;
export type Problem = InferOutput<typeof schemas.problem>;
