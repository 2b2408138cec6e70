import { env } from "cloudflare:workers";
import type { MiddlewareHandler } from "hono";
import { bearerAuth } from "hono/bearer-auth";
import { Problem } from "./problem.ts";

interface AuthVariables {
  API_TOKEN?: string;
  POCKETFLARE_OPEN?: string;
}

/**
 * Asks for `Authorization: Bearer <API_TOKEN>`. Without a configured token nothing is served, unless the variable
 * `POCKETFLARE_OPEN` says so: that one is for a local server, which sets it by name.
 */
export const bearer: MiddlewareHandler = (context, next) => {
  const { API_TOKEN: token, POCKETFLARE_OPEN: open } = env as AuthVariables;
  if (token) return bearerAuth({ token })(context, next);
  if (open === "true") return next();
  throw new Problem(503, "This Worker has no API token yet: set one with `wrangler secret put API_TOKEN`.");
};
