import type { Webhook } from "standardwebhooks";
import { refusalOf } from "../core/address.ts";
import type { Message, Receipt } from "../durable/deliveries.ts";
import { Problem } from "../http/problem.ts";
import { VERSION } from "../version.ts";
import type { Secrets } from "./secrets.ts";
import { signersOf } from "./signers.ts";

/** How runs tell others of their end. */
export interface CallbackOptions {
  /** Signs what is sent: a Standard Webhooks secret (`whsec_…`). Of several each signs, so that receivers can change theirs. */
  secret: Secrets;
  /**
   * Lets callbacks go to private, loopback and link-local addresses, and over plain http: for a local server, or receivers in a
   * network of one's own. Default `false`.
   */
  allowPrivate?: boolean;
}

/** A receiver that takes longer has not taken the message. */
const TIMEOUT_MS = 15_000;

/** Sends the messages that runs have for their callbacks: signed POSTs, as Standard Webhooks describes them. */
export class Callbacks {
  readonly #signers: readonly Webhook[];
  readonly #allowPrivate: boolean;

  constructor({ secret, allowPrivate = false }: CallbackOptions = { secret: undefined }) {
    this.#signers = signersOf("callbacks", secret);
    this.#allowPrivate = allowPrivate;
  }

  /** Throws a problem for a URL that nothing may be sent to. */
  check(url: unknown): void {
    const isText = typeof url === "string";
    const detail = isText ? refusalOf(url, this.#allowPrivate) : "Expected the callback to be a URL";
    if (detail !== undefined) throw new Problem(422, detail, [{ pointer: "", detail }]);
    if (this.#signers.length > 0) return;
    throw new Problem(503, "This Worker has no secret to sign callbacks with: set `callbacks: { secret }` of `serve`.");
  }

  /** Never throws. What is configured may have changed since the URL was checked. */
  async send({ id, url, body }: Message): Promise<Receipt> {
    try {
      this.check(url);
      return await this.#post(id, url, body);
    } catch (error) {
      return { httpStatus: null, error: reasonOf(error, url) };
    }
  }

  async #post(id: string, url: string, body: string): Promise<Receipt> {
    const at = new Date();
    const response = await fetch(url, {
      method: "POST",
      body,
      headers: {
        "content-type": "application/json",
        "user-agent": `pocketflare/${VERSION}`,
        "webhook-id": id,
        "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
        "webhook-signature": this.#signers.map((signer) => signer.sign(id, at, body)).join(" "),
      },
      // Where it leads to was not checked.
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    // What is not read would keep the connection.
    await response.body?.cancel().catch(() => undefined);
    return { httpStatus: response.status, error: null };
  }
}

/** Of a URL, which such an error may name, a run shows no more than where it leads. */
function reasonOf(error: unknown, url: string): string {
  const { name, message } = error as Error;
  if (name === "TimeoutError") return `The receiver did not answer within ${TIMEOUT_MS / 1000} s`;
  const { href, origin } = new URL(url);
  return String(message).replaceAll(url, origin).replaceAll(href, origin);
}
