import { env } from "cloudflare:workers";
import type { MiddlewareHandler } from "hono";
import { timingSafeEqual } from "hono/utils/buffer";
import { Problem } from "./problem.ts";

interface AuthVariables {
  API_TOKEN?: string;
  POCKETFLARE_OPEN?: string;
}

/**
 * Asks for `Authorization: Bearer <API_TOKEN>`. Without a configured token nothing is served, unless the variable
 * `POCKETFLARE_OPEN` says so: that one is for a local server, which sets it by name.
 */
export const bearer: MiddlewareHandler = async (context, next) => {
  const { API_TOKEN: token, POCKETFLARE_OPEN: open } = env as AuthVariables;
  if (token) {
    const [, given = ""] = /^Bearer +(.*)$/i.exec(context.req.header("authorization") ?? "") ?? [];
    if (await timingSafeEqual(given, token)) return next();
    throw new Problem(401, "Expected the header `Authorization: Bearer <API_TOKEN>` with this Worker's token.");
  }
  if (open === "true") return next();
  throw new Problem(503, "This Worker has no API token yet: set one with `wrangler secret put API_TOKEN`.");
};
