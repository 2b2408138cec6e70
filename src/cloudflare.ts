export type { LimitOptions } from "./core/budget.ts";
export type { FlowEntries, FlowEntry, FlowFactory, Retain } from "./durable/registry.ts";
export type { ItemView, RunView } from "./durable/view.ts";
export { type Served, type ServeOptions, serve } from "./serve.ts";
