import { describeType } from "../core/errors.ts";
import type { Registry } from "../durable/registry.ts";
import type { RunView } from "../durable/view.ts";
import { parseJson } from "../http/input.ts";
import { checkObject } from "../http/plain.ts";
import { Problem } from "../http/problem.ts";
import type { Starter } from "../http/starter.ts";
import { type Delivery, NoSecretError, UnverifiedError, type Verified, type Verify } from "./verify.ts";

/** What a webhook starts. */
export interface WebhookEntry {
  /** Tells the sender's deliveries from anybody else's: `standardWebhooks`, `github`, or a function of one's own. */
  verify: Verify;
  /** The flow that is started. */
  flow: string;
  /** The run's input. `payload` is the delivery's JSON, or its text where it is of another type. Default: the payload. */
  input?(payload: unknown, delivery: VerifiedDelivery): unknown;
  /** The URL that is told when the run has ended, where the sender wants that. */
  callback?(payload: unknown, delivery: VerifiedDelivery): string | undefined;
}

/** A delivery of the sender's. */
export interface VerifiedDelivery extends Delivery, Verified {}

const OPTIONS: readonly string[] = ["verify", "flow", "input", "callback"] satisfies (keyof WebhookEntry)[];
const NAME = /^[\w.-]{1,64}$/;

/** The webhooks of a Worker, by name. Checks each when it is made, so that a mistake shows at start-up. */
export class Webhooks {
  readonly #entries: ReadonlyMap<string, WebhookEntry>;
  readonly #starter: Starter;

  constructor(entries: { [name: string]: WebhookEntry }, registry: Registry, starter: Starter) {
    this.#entries = new Map(Object.entries(entries));
    this.#starter = starter;
    for (const [name, entry] of this.#entries) check(name, entry, registry);
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  list(): { name: string; flow: string }[] {
    return Array.from(this.#entries, ([name, { flow }]) => ({ name, flow }));
  }

  /** Starts what a delivery is to start, or finds it started. Nothing is read of a body that is not verified. */
  async receive(name: string, body: Uint8Array, headers: Headers): Promise<RunView> {
    const { verify, flow, input, callback } = this.#entries.get(name) as WebhookEntry;
    const { id } = await verified(verify, { body, headers });
    const payload = payloadOf(body, headers);
    // What becomes the flow's input as it is must be an object, and so may what looks into it take for granted.
    if (!input) checkObject(payload);
    const delivery: VerifiedDelivery = { id, body, headers };
    const { view } = await this.#starter.start({
      flow,
      input: input ? await input(payload, delivery) : payload,
      // No header has a line break, so no Idempotency-Key is the same.
      key: id === null ? null : `webhook\n${name}\n${id}`,
      trigger: { type: "webhook", name },
      callback: (await callback?.(payload, delivery)) ?? null,
    });
    return view;
  }
}

async function verified(verify: Verify, delivery: Delivery): Promise<Verified> {
  try {
    const found: unknown = await verify(delivery);
    if (isVerified(found)) return found;
    throw new TypeError(`Expected \`verify\` to return \`{ id }\` or to throw, got ${describeType(found)}`);
  } catch (error) {
    // A verifier of the user's own may throw anything: what it says is for the log, and not for whoever sent this.
    if (error instanceof NoSecretError) throw new Problem(503, error.message);
    if (!(error instanceof UnverifiedError))
      console.warn({ message: "A delivery was not verified", error: String(error) });
    const detail = error instanceof UnverifiedError ? error.message : "Expected a delivery of the sender's";
    throw new Problem(401, detail, undefined, "Signature");
  }
}

/** One that returns `false`, or nothing, has not said that the delivery is the sender's. */
function isVerified(found: unknown): found is Verified {
  if (typeof found !== "object" || found === null || !("id" in found)) return false;
  // An empty id would make all deliveries one.
  return found.id === null || (typeof found.id === "string" && found.id !== "");
}

function payloadOf(body: Uint8Array, headers: Headers): unknown {
  const type = headers.get("content-type") ?? "application/json";
  const text = new TextDecoder().decode(body);
  return /^application\/([\w.-]+\+)?json\b/i.test(type) ? parseJson(text) : text;
}

function check(name: string, entry: WebhookEntry, registry: Registry): void {
  if (!NAME.test(name)) {
    throw new RangeError(
      `Expected a webhook's name to be up to 64 letters, digits, dots, dashes or underscores, got \`${name}\``,
    );
  }
  const unknown = Object.keys(entry).find((key) => !OPTIONS.includes(key));
  if (unknown !== undefined) {
    throw new TypeError(
      `Expected webhook \`${name}\` to have only the options ${OPTIONS.join(", ")}, got \`${unknown}\``,
    );
  }
  if (typeof entry.verify !== "function") {
    throw new TypeError(
      `Expected webhook \`${name}\` to have \`verify\`, such as \`standardWebhooks({ secret })\`: without it anybody could start runs`,
    );
  }
  if (!registry.has(entry.flow)) {
    const known = registry.names.join(", ");
    throw new RangeError(
      `Expected webhook \`${name}\` to start a flow that serve knows, got \`${entry.flow}\`; it knows: ${known}`,
    );
  }
}
