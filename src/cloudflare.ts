export type { LimitOptions } from "./core/budget.ts";
export type { StandardSchema } from "./core/schema.ts";
export type { FlowEntries, FlowEntry, FlowFactory, Retain } from "./durable/registry.ts";
export type { ItemView, RunView } from "./durable/view.ts";
export { type Routes, type Served, type ServeOptions, serve } from "./serve.ts";
export type { CallbackOptions } from "./triggers/callbacks.ts";
export type { CronEntry, Crons } from "./triggers/cron-table.ts";
export type { Secrets } from "./triggers/secrets.ts";
export {
  type Delivery,
  github,
  standardWebhooks,
  UnverifiedError,
  type Verified,
  type Verify,
} from "./triggers/verify.ts";
export type { VerifiedDelivery, WebhookEntry } from "./triggers/webhooks.ts";
