import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";

const TITLES: { readonly [status: number]: string } = {
  400: "Bad request",
  401: "Not authorized",
  404: "Not found",
  409: "Not possible now",
  413: "Body too large",
  415: "Unsupported media type",
  422: "Not valid",
  500: "Internal error",
  503: "Not available",
};

const BEARER = 'Bearer realm="pocketflare"';

/** Where in a body something is wrong: a JSON pointer (RFC 6901) and what was expected there. */
export interface BodyError {
  pointer: string;
  detail: string;
}

/** A body of which everything is wrong is not answered with more than it has. */
export const MOST_ERRORS = 100;
const LONGEST_TEXT = 600;

/** An error for the client, as RFC 9457 writes it: what was expected, what came, what to do. */
export class Problem extends HTTPException {
  readonly errors: BodyError[] | undefined;
  /** With status 401: how a caller shows who it is. */
  readonly challenge: string;
  constructor(status: ContentfulStatusCode, detail: string, errors?: BodyError[], challenge = BEARER) {
    super(status, { message: detail });
    this.errors = errors;
    this.challenge = challenge;
  }
}

export function problemResponse(error: unknown): Response {
  if (error instanceof Problem) return respond(error.status, error.message, error);
  // What a middleware of the user's has thrown may have a response of its own.
  if (error instanceof HTTPException) return error.res ?? respond(error.status, error.message);
  // What went wrong inside is for the log: it may say what is nobody's business outside.
  console.error({
    message: "A request failed",
    error: String(error),
    stack: error instanceof Error ? error.stack : null,
  });
  return respond(500, "Something went wrong in this Worker: its log says what.");
}

/** What came is repeated in an error, and may be long. */
function cut(text: string): string {
  return text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT)}…`;
}

function respond(
  status: number,
  detail: string,
  { errors, challenge = BEARER }: Pick<Partial<Problem>, "errors" | "challenge"> = {},
): Response {
  const title = TITLES[status] ?? "Error";
  const all = errors && { errors: errors.map((each) => ({ pointer: cut(each.pointer), detail: cut(each.detail) })) };
  const body = { type: "about:blank", title, status, detail: cut(detail || title), ...all };
  const authenticate = status === 401 ? { "www-authenticate": challenge } : {};
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/problem+json", ...authenticate },
  });
}
