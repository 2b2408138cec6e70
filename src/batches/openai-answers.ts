import { describeType, errorOf, NonRetryableError } from "../core/errors.ts";
import { isRefusal } from "../core/jobs.ts";
import { isOutOfCredit } from "../core/refusal.ts";
import { messageOf, parse, type Vendor } from "./vendor.ts";

// What an OpenAI-compatible vendor says of batches and of their lines, read with the care that somebody else's words need.

/** A batch as the vendor describes it: what of it is read here. */
export interface Batch {
  id?: unknown;
  status?: unknown;
  metadata?: { [key: string]: unknown } | null;
  request_counts?: { total?: unknown; completed?: unknown; failed?: unknown } | null;
  errors?: { data?: ({ message?: unknown } | null)[] | null } | null;
  output_file_id?: string | null;
  error_file_id?: string | null;
}

export interface Page {
  data?: Batch[] | null;
  has_more?: boolean;
}

/** What the vendor says of a line. */
export interface Answer {
  custom_id: string;
  response?: { status_code?: unknown; body?: unknown } | null;
  error?: { code?: unknown; message?: unknown } | null;
}

export function idOf(vendor: Vendor, kind: string, answer: { id?: unknown }): string {
  const { id } = answer;
  if (typeof id === "string" && id !== "") return id;
  throw new Error(`Expected \`id\` of a ${kind} from ${vendor.host} to be a string, got ${describeType(id)}`);
}

export function countsOf({ request_counts: counts }: Batch): { total?: number; completed?: number; failed?: number } {
  const { total, completed, failed } = counts ?? {};
  const known = Object.entries({ total, completed, failed }).filter(([, count]) => Number.isSafeInteger(count));
  return Object.fromEntries(known) as { [count: string]: number };
}

/** Why a batch has failed as a whole: its file did not pass, or the account may have no more lines in batches. */
export function failureOf(vendor: Vendor, { errors }: Batch): string {
  const data = Array.isArray(errors?.data) ? errors.data : [];
  const messages = data.map((error) => error?.message).filter((message) => typeof message === "string");
  const reasons = [...new Set(messages)].join("; ");
  return `The vendor's job failed: ${reasons === "" ? `${vendor.host} does not say why` : vendor.quote(reasons)}.`;
}

export function answerOf(vendor: Vendor, line: string, place: string): Answer {
  const answer = parse(line) as Answer | null | undefined;
  if (typeof answer?.custom_id === "string") return answer;
  throw new Error(
    `Expected ${place} from ${vendor.host} to be a JSON object with a \`custom_id\`, got ${vendor.quote(line)}`,
  );
}

/** What is wrong with a line, if anything is. */
export function errorIn(vendor: Vendor, { response, error }: Answer): Error | undefined {
  const status = Number.isSafeInteger(response?.status_code) ? (response?.status_code as number) : undefined;
  if (!error && status === 200) return undefined;
  const said = messageOf({ error }) ?? messageOf(response?.body) ?? codeOf(error) ?? "no reason given";
  const how = status === undefined || status === 200 ? "failed" : `was answered ${status}`;
  const message = `The line ${how} at ${vendor.host}: ${vendor.quote(said)}.`;
  if (isRefusal(status) || isOutOfCredit(response?.body)) {
    return new NonRetryableError(message, status === undefined ? {} : { status });
  }
  return errorOf({ name: "BatchLineError", message, ...(status === undefined ? {} : { status }) });
}

function codeOf(error: Answer["error"]): string | undefined {
  return typeof error?.code === "string" ? error.code : undefined;
}
