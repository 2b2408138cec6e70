import { signal } from "@preact/signals";
import type { Problem } from "../http/api.ts";

/** Where the API is: this page is served at its base. Without a slash at its end. */
export const BASE = location.pathname.replace(/\/+$/, "");

const KEY = `pocketflare-token ${BASE}`;

/** The API's token, for as long as this tab is open. */
export const token = signal<string | null>(sessionStorage.getItem(KEY));
/** Why the API has refused the token, or `""` for the lack of one; nothing while it has not. */
export const refusal = signal<string | null>(null);
/** Another number with each token: what was loaded with the one before is loaded again. */
export const session = signal(0);

export function setToken(text: string | null): void {
  if (text === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, text);
  token.value = text;
  refusal.value = null;
  session.value++;
}

/** Keeps a token that the API takes; throws an ApiError for another one. */
export async function tryToken(text: string): Promise<void> {
  if (!/^[\x21-\x7e]+$/.test(text))
    throw new ApiError(401, "Expected a token of letters, digits and signs, without spaces.");
  await ask("/flows", { headers: { authorization: `Bearer ${text}` } });
  setToken(text);
}

/** What the API has refused, in its own words. `status` is 0 where there was no answer. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly errors: NonNullable<Problem["errors"]>;
  constructor(status: number, message: string, errors: NonNullable<Problem["errors"]> = []) {
    super(message);
    this.status = status;
    this.errors = errors;
  }
}

/** The path of something of the API: `path("runs", id, "items")`. */
export function path(...parts: (string | number)[]): string {
  return parts.map((part) => `/${encodeURIComponent(part)}`).join("");
}

/** The whole address of a path of the API, for whoever is not this page. */
export function urlOf(where: string): string {
  return `${location.origin}${BASE}${where}`;
}

/** `?a=1&b=2` of what is given and not empty. */
export function search(query: { [name: string]: string | number | null | undefined }): string {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length === 0 ? "" : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/**
 * Asks the API, and gives its JSON. Throws an ApiError for what it refuses, and where it cannot be reached; a 401 also asks for
 * the token.
 *
 * @example const { runs } = await get<RunList>(`${path("runs")}${search({ status: "failed" })}`);
 */
export async function get<T>(where: string, signal?: AbortSignal): Promise<T> {
  return (await (await ask(where, signal ? { signal } : {})).json()) as T;
}

/** The same with a body, if there is one; `undefined` where the answer is empty. */
export async function send<T>(method: string, where: string, body?: unknown, headers = {}): Promise<T> {
  const json = body === undefined ? {} : { "content-type": "application/json" };
  const init = { method, headers: { ...json, ...headers } };
  const response = await ask(where, body === undefined ? init : { ...init, body: JSON.stringify(body) });
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** The answer itself, once it is no refusal. */
export async function ask(where: string, init: RequestInit = {}): Promise<Response> {
  const auth = token.peek() === null ? {} : { authorization: `Bearer ${token.peek()}` };
  const response = await fetch(`${BASE}${where}`, { ...init, headers: { ...auth, ...init.headers } }).catch((error) => {
    if ((error as Error).name === "AbortError") throw error;
    throw new ApiError(0, "The server does not answer.");
  });
  if (response.ok) return response;
  throw await refused(response);
}

async function refused(response: Response): Promise<ApiError> {
  const problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
  const error = new ApiError(
    response.status,
    problem.detail ?? `The server answered ${response.status} ${response.statusText}`,
    problem.errors,
  );
  if (response.status === 401) refusal.value = token.peek() === null ? "" : error.message;
  return error;
}
