import type { Context } from "hono";
import { PAGE, POLICY } from "./page-built.ts";

/** The page: one text without secrets, for everybody. It asks the API for what it shows, with a token that its user gives it. */
export function page(context: Context): Response {
  return context.body(PAGE, 200, {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    // It is of the version that serves it: another may have been deployed since.
    "cache-control": "no-cache",
  });
}
