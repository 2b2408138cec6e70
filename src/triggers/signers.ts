import { Webhook } from "standardwebhooks";
import { type Secrets, secretsOf } from "./secrets.ts";

// Apart from what a Worker's author sees of secrets: the types of that library want those of Node.

/** The spec asks for 24 at least. Some senders give fewer. */
const SHORTEST_SECRET_BYTES = 16;
const PREFIX = "whsec_";
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

/** Signs and verifies as Standard Webhooks describes it, by each secret that is set. A malformed one throws. */
export function signersOf(owner: string, secrets: Secrets): Webhook[] {
  return secretsOf(owner, secrets).map((secret) => signerOf(owner, secret));
}

/** What is wrong with a secret is said without it: errors are logged. */
function signerOf(owner: string, secret: string): Webhook {
  const encoded = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret;
  if (!BASE64.test(encoded)) {
    throw new TypeError(
      `Expected \`secret\` of \`${owner}\` to be \`${PREFIX}\` and base64, as the sender shows it, got other characters`,
    );
  }
  const bytes = Math.floor((encoded.replace(/=+$/, "").length * 6) / 8);
  if (bytes < SHORTEST_SECRET_BYTES) {
    throw new RangeError(
      `Expected \`secret\` of \`${owner}\` to be at least ${SHORTEST_SECRET_BYTES} bytes in base64, got ${bytes}`,
    );
  }
  return new Webhook(encoded);
}
