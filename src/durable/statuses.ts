// What runs, items and triggers can be called: in one place, from which the types, the API's checks and its clients take them.

export const RUN_STATUSES = ["queued", "running", "waiting", "paused", "completed", "failed", "canceled"] as const;
export const ITEM_STATUSES = ["pending", "running", "deferred", "succeeded", "failed", "canceled"] as const;
export const TRIGGERS = ["http", "cron", "webhook"] as const;

export type ItemStatus = (typeof ITEM_STATUSES)[number];
