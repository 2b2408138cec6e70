import type { Context } from "hono";
import type { IndexPlace } from "../durable/index-entry.ts";
import { Problem } from "./problem.ts";
import { LONGEST_WAIT_SEC } from "./schemas.ts";

const LONGEST_KEY = 255;

/** The body as JSON; an empty object where there is none. */
export async function readJson(context: Context): Promise<unknown> {
  const text = await context.req.text();
  if (text === "") return {};
  const type = context.req.header("content-type") ?? "";
  if (!/^application\/([\w.-]+\+)?json\b/i.test(type)) {
    throw new Problem(415, `Expected a body of type application/json, got ${type === "" ? "none" : `\`${type}\``}`);
  }
  return parseJson(text);
}

/** Throws a problem for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Problem(400, `Expected a JSON body: ${(error as Error).message}`);
  }
}

/** The header `Prefer: wait=SECONDS` (RFC 7240), in seconds. A preference that cannot be met is passed over. */
export function readPreferredWait(context: Context): number {
  const [, preferred] = /(?:^|[\s,;])wait=(\d{1,9})/.exec(context.req.header("prefer") ?? "") ?? [];
  return Math.min(Number(preferred ?? 0), LONGEST_WAIT_SEC);
}

export function readIdempotencyKey(context: Context): string | undefined {
  const key = context.req.header("idempotency-key");
  if (key !== undefined && (key.length === 0 || key.length > LONGEST_KEY)) {
    throw new Problem(400, `Expected an Idempotency-Key of 1 to ${LONGEST_KEY} characters, got ${key.length}`);
  }
  return key;
}

/** The number of the event that the client had last: 0 where it comes for the first time. */
export function readLastEventId(context: Context): number {
  const id = context.req.header("last-event-id") ?? "0";
  if (/^\d{1,15}$/.test(id)) return Number(id);
  throw new Problem(400, `Expected the header Last-Event-ID to be the number of an event, got \`${id.slice(0, 64)}\``);
}

/** Where a list of items goes on. */
export function writePlace(next: { step: number; index: number } | null): string | null {
  return next && `${next.step}-${next.index}`;
}

export function readPlace(cursor: string | undefined): { step: number; index: number } {
  const [step = 0, index = 0] = (cursor ?? "0-0").split("-").map(Number);
  return { step, index };
}

/** Where a list of runs goes on. */
export function writeRunPlace(next: IndexPlace | null): string | null {
  return next && `${next.createdMs}-${next.id}`;
}

export function readRunPlace(cursor: string | undefined): IndexPlace | null {
  if (cursor === undefined) return null;
  const [createdMs, id] = cursor.split("-") as [string, string];
  return { createdMs: Number(createdMs), id };
}
