import { ulid } from "ulid";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BODY = 26;
const CHECK = 4;

/**
 * A new run's id: a ULID, sortable by time, and four characters that follow from it. A mistyped or made-up id is known as such
 * without waking an object for it.
 */
export function newRunId(): string {
  return withCheck(ulid());
}

/** The id of the run that belongs to an idempotency key: a hash of flow and key, so that no look-up is needed. */
export async function keyedRunId(flow: string, key: string): Promise<string> {
  const hash = await sha256(`${flow}\n${key}`);
  return withCheck(Array.from({ length: BODY }, (_, at) => ALPHABET[(hash[at] as number) & 31]).join(""));
}

export function isRunId(text: string): boolean {
  return text.length === BODY + CHECK && withCheck(text.slice(0, BODY)) === text;
}

/** A digest of a JSON value that is the same for equal values, whatever the order of their keys. */
export async function digest(value: unknown): Promise<string> {
  const hash = await sha256(JSON.stringify(sorted(value)));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, part]) => [key, sorted(part)]));
}

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

/** FNV-1a over 32 bits (http://www.isthe.com/chongo/tech/comp/fnv/), of which the low 20 are written. */
function withCheck(body: string): string {
  let hash = 0x811c9dc5;
  for (const character of body) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) >>> 0;
  const check = Array.from({ length: CHECK }, (_, at) => ALPHABET[(hash >>> (5 * at)) & 31]);
  return body + check.join("");
}
