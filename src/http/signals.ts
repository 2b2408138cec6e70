import type { Context } from "hono";
import { ulid } from "ulid";
import type { InferOutput } from "valibot";
import type { SignalRefusal } from "../durable/answers.ts";
import { MOST_SIGNALS } from "../durable/signal-store.ts";
import { ROW_LIMIT } from "../durable/text.ts";
import { digest } from "./ids.ts";
import { readIdempotencyKey, readJson } from "./input.ts";
import { checkPlain } from "./plain.ts";
import { Problem } from "./problem.ts";
import type { Runs } from "./runs.ts";
import type { run as runSchema } from "./schemas.ts";
import { json, writeRun } from "./write.ts";

const NAME = /^[\w.-]{1,64}$/;

/** Delivers a signal to a run. One that is sent again with the same Idempotency-Key is the same. */
export async function signal(context: Context, runs: Runs) {
  const name = context.req.param("name") as string;
  if (!NAME.test(name)) {
    const expected = "up to 64 letters, digits, dots, dashes or underscores";
    throw new Problem(400, `Expected a signal's name to be ${expected}, got \`${name.slice(0, 64)}\``);
  }
  const body = await readBody(context);
  const key = readIdempotencyKey(context);
  const id = key === undefined ? ulid() : `key ${key}`;
  const sent = { id, name, body, digest: key === undefined ? null : await digest([name, JSON.parse(body)]) };
  const { view, refusal } = await runs.get(context.req.param("id") as string, (run) => run.signal(sent));
  if (refusal === "other") throw new Problem(422, otherSignal(key as string));
  if (refusal !== null) throw new Problem(409, reasonOf(refusal, view.status));
  return json<InferOutput<typeof runSchema>, 202>(writeRun(view), 202);
}

async function readBody(context: Context): Promise<string> {
  const payload = await readJson(context);
  checkPlain(payload, "a signal");
  const body = JSON.stringify(payload);
  if (body.length <= ROW_LIMIT) return body;
  throw new Problem(413, `Expected a signal of at most ${ROW_LIMIT} characters, got ${body.length}`);
}

function otherSignal(key: string): string {
  return `Expected the signal that was sent with Idempotency-Key \`${key.slice(0, 64)}\` before, got another name or body: send a new one with a new key`;
}

function reasonOf(refusal: SignalRefusal, status: string): string {
  if (refusal === "finished") return `Expected a run that goes on, got one that is ${status}`;
  return `Expected a run that has taken its signals, got one that keeps ${MOST_SIGNALS} already`;
}
