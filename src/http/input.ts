import type { Context } from "hono";
import type { ItemQuery, ItemStatus } from "../durable/view.ts";
import { Problem } from "./problem.ts";

const LONGEST_WAIT_SEC = 60;
const LONGEST_KEY = 255;
const DEEPEST = 500;
const MOST_ITEMS = 1000;
const DEFAULT_ITEMS = 100;
const STATUSES: readonly string[] = ["pending", "running", "deferred", "succeeded", "failed", "canceled"];

/** The body of a start: a JSON object, which becomes the run's shared store. No body at all is an empty one. */
export async function readInput(context: Context): Promise<object> {
  const input = await readJson(context);
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    const detail = `Expected a JSON object, got ${Array.isArray(input) ? "an array" : JSON.stringify(input)}`;
    throw new Problem(422, `${detail}: the body becomes the flow's shared store`, [{ pointer: "", detail }]);
  }
  if (isDeeper(input, DEEPEST)) {
    const detail = `Expected a JSON object nested at most ${DEEPEST} levels deep, got a deeper one`;
    throw new Problem(422, detail, [{ pointer: "", detail }]);
  }
  return input;
}

/** The body as JSON; an empty object where there is none. */
export async function readJson(context: Context): Promise<unknown> {
  const text = await context.req.text();
  if (text === "") return {};
  const type = context.req.header("content-type") ?? "";
  if (!/^application\/([\w.-]+\+)?json\b/i.test(type)) {
    throw new Problem(415, `Expected a body of type application/json, got ${type === "" ? "none" : `\`${type}\``}`);
  }
  return parse(text);
}

/** Level by level, and not by recursion: a hostile body is deeper than a stack. */
function isDeeper(input: object, levels: number): boolean {
  let level: object[] = [input];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > levels) return true;
    level = level.flatMap((value) => Object.values(value).filter((part) => typeof part === "object" && part !== null));
  }
  return false;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Problem(400, `Expected a JSON body: ${(error as Error).message}`);
  }
}

/** `?wait=SECONDS`, or the header `Prefer: wait=SECONDS` (RFC 7240), in milliseconds. A preference that cannot be met is passed over. */
export function readWaitMs(context: Context): number {
  const [, preferred] = /(?:^|[\s,;])wait=(\d{1,9})/.exec(context.req.header("prefer") ?? "") ?? [];
  const otherwise = Math.min(Number(preferred ?? 0), LONGEST_WAIT_SEC);
  return readNumber(context, "wait", otherwise, 0, LONGEST_WAIT_SEC) * 1000;
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

export function readItemQuery(context: Context): ItemQuery {
  const status = context.req.query("status") ?? null;
  if (status !== null && !STATUSES.includes(status)) {
    throw new Problem(400, `Expected \`status\` to be one of ${STATUSES.join(", ")}, got \`${status}\``);
  }
  return {
    status: status as ItemStatus | null,
    node: context.req.query("node") ?? null,
    limit: Math.floor(readNumber(context, "limit", DEFAULT_ITEMS, 1, MOST_ITEMS)),
    from: readCursor(context.req.query("cursor")),
  };
}

export function writeCursor(next: { step: number; index: number } | null): string | null {
  return next && `${next.step}-${next.index}`;
}

function readCursor(cursor: string | undefined): { step: number; index: number } {
  if (cursor === undefined) return { step: 0, index: 0 };
  const [, step, index] = /^(\d{1,15})-(\d{1,15})$/.exec(cursor) ?? [];
  if (step === undefined) throw new Problem(400, `Expected \`cursor\` as an earlier answer gave it, got \`${cursor}\``);
  return { step: Number(step), index: Number(index) };
}

function readNumber(context: Context, name: string, otherwise: number, least: number, most: number): number {
  const text = context.req.query(name);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (text.trim() !== "" && value >= least && value <= most) return value;
  throw new Problem(400, `Expected \`${name}\` to be a number from ${least} to ${most}, got \`${text}\``);
}
