import { verify as isSignedByGithub } from "@octokit/webhooks-methods";
import { WebhookVerificationError } from "standardwebhooks";
import { type Secrets, secretsOf } from "./secrets.ts";
import { signersOf } from "./signers.ts";

/** A delivery as it came: nothing of the body is read before it is verified. */
export interface Delivery {
  /** The raw body. */
  body: Uint8Array;
  headers: Headers;
}

/** What a verifier has found. */
export interface Verified {
  /** The sender's id of the delivery, which is the same when it is sent again; `null` where the sender gives none. */
  id: string | null;
}

/** Throws (any error) or rejects for a delivery that is not the sender's. */
export type Verify = (delivery: Delivery) => Verified | Promise<Verified>;

/** A delivery that is not the sender's, as far as can be told: HTTP status 401. */
export class UnverifiedError extends Error {
  override readonly name = "UnverifiedError";
  readonly status = 401;
}

/** Nothing can be verified, because no secret is set: HTTP status 503. */
export class NoSecretError extends Error {
  override readonly name = "NoSecretError";
  readonly status = 503;
  constructor(verifier: string) {
    super(
      `This hook has no secret yet: set the variable that \`secret\` of \`${verifier}\` is read from, with ` +
        "`wrangler secret put <VARIABLE>`, or in `.dev.vars` for a local server.",
    );
  }
}

const LONGEST_ID = 255;
/**
 * Verifies deliveries as Standard Webhooks describes them (https://www.standardwebhooks.com): an HMAC-SHA256 of id, time and body,
 * made no more than five minutes ago. So a delivery that someone has recorded is of no use later, and within five minutes its id
 * tells that it came before. A secret is base64, and may begin with `whsec_`; a malformed one throws at once, a missing one at
 * each delivery.
 *
 * The library compares in constant time, and each secret is tried, so that the time does not tell which one matched.
 *
 * @example standardWebhooks({ secret: [env.HOOK_SECRET, env.HOOK_SECRET_BEFORE] });
 */
export function standardWebhooks(options: { secret: Secrets }): Verify {
  const webhooks = signersOf("standardWebhooks", options.secret);
  return ({ body, headers }) => {
    if (webhooks.length === 0) throw new NoSecretError("standardWebhooks");
    const id = idOf(headers, "webhook-id");
    const signed = {
      "webhook-id": checkUnambiguous(id),
      "webhook-timestamp": checkTimestamp(headerOf(headers, "webhook-timestamp")),
      "webhook-signature": headerOf(headers, "webhook-signature"),
    };
    const text = textOf(body);
    const faults = webhooks.map((webhook) => faultOf(() => webhook.verify(text, signed, { jsonParse: false })));
    if (faults.includes(undefined)) return { id };
    throw new UnverifiedError(
      "Expected a signature by this hook's secret in `webhook-signature`, made for this body within five minutes of now, got " +
        `none: ${faults[0]}`,
    );
  };
}

/**
 * Verifies deliveries of GitHub, or of whoever signs as GitHub does: `X-Hub-Signature-256` is an HMAC-SHA256 of the body
 * (https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries). GitHub signs neither a time nor the id: who
 * has recorded a delivery can send it again whenever they like, under another `X-GitHub-Delivery`, and it is verified. So a flow
 * that it starts should not mind.
 *
 * The library compares in constant time, by `timingSafeEqual` of node:crypto or by `crypto.subtle.verify`, and each secret is
 * tried. A missing secret throws at each delivery.
 *
 * @example github({ secret: env.GITHUB_WEBHOOK_SECRET });
 */
export function github(options: { secret: Secrets }): Verify {
  const secrets = secretsOf("github", options.secret);
  return async ({ body, headers }) => {
    if (secrets.length === 0) throw new NoSecretError("github");
    const id = idOf(headers, "x-github-delivery");
    const signature = headerOf(headers, "x-hub-signature-256");
    // The library's build for browsers, which Workers bundle, skips what is not hexadecimal. So one signature could be written in
    // many ways.
    if (!/^sha256=[0-9a-f]{64}$/.test(signature)) {
      throw new UnverifiedError("Expected `x-hub-signature-256` to be `sha256=` and 64 hexadecimal digits");
    }
    const text = textOf(body);
    // GitHub sends none, and the library takes it for a mistake of the caller's.
    if (text === "") throw new UnverifiedError("Expected a body, got an empty one");
    const matches = await Promise.all(secrets.map((secret) => isSignedByGithub(secret, text, signature)));
    if (matches.includes(true)) return { id };
    throw new UnverifiedError(
      "Expected `x-hub-signature-256` to be a signature by this hook's secret, made for this body",
    );
  };
}

/** Why the library does not take a delivery. Whatever it throws, the delivery is not verified. */
function faultOf(verify: () => void): string | undefined {
  try {
    verify();
    return undefined;
  } catch (error) {
    return error instanceof WebhookVerificationError ? error.message : "Malformed headers";
  }
}

/**
 * `id.timestamp.body` is what is signed. An id that holds what may be a timestamp, between dots, would let one signature stand for
 * two deliveries with different ids; the spec warns of it.
 */
function checkUnambiguous(id: string): string {
  if (!/\.\d+(?:\.|$)/.test(id)) return id;
  throw new UnverifiedError(
    "Expected `webhook-id` to have no digits alone behind a dot: it could be read as another id",
  );
}

/** The library would read `1700000000x` as 1700000000, and sign that. */
function checkTimestamp(timestamp: string): string {
  if (/^[1-9]\d*$/.test(timestamp)) return timestamp;
  throw new UnverifiedError("Expected `webhook-timestamp` to be a whole number of seconds since 1970");
}

function idOf(headers: Headers, name: string): string {
  const id = headerOf(headers, name);
  if (id.length <= LONGEST_ID) return id;
  throw new UnverifiedError(`Expected \`${name}\` to have at most ${LONGEST_ID} characters, got ${id.length}`);
}

function headerOf(headers: Headers, name: string): string {
  const value = headers.get(name);
  if (value) return value;
  throw new UnverifiedError(`Expected the header \`${name}\`, without which nothing can be verified`);
}

/**
 * The body as the libraries want it. Of invalid UTF-8 or a byte order mark nothing may be lost, or two bodies would have the same
 * signature.
 */
function textOf(body: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    throw new UnverifiedError("Expected a body in UTF-8, got other bytes");
  }
}
