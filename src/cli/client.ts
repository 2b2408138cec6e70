import type { Problem } from "../http/api.ts";
import { Failure, UsageError } from "./errors.ts";
import { didYouMean } from "./nearest.ts";

/** Where `pocketflare dev` serves, unless it is told otherwise. */
export const DEFAULT_URL = "http://localhost:8787";

/** What the API has refused, in its own words. */
export class ApiError extends Failure {
  readonly status: number;
  constructor(status: number, message: string, hint: string | null) {
    super(message, hint);
    this.status = status;
  }
}

/** Nobody has answered, or what did is no Pocketflare. */
export class Unreachable extends Failure {}

interface Query {
  readonly [name: string]: string | number | undefined;
}

/** The path of something of the API: `path("runs", id, "items")`. */
export function path(...parts: string[]): string {
  return parts.map((part) => `/${encodeURIComponent(part)}`).join("");
}

/** `?a=1&b=2` of what is given. */
export function search(query: Query): string {
  const given = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
  return given.length === 0 ? "" : `?${new URLSearchParams(given as [string, string][])}`;
}

/** A server's API. Whatever goes wrong is thrown in words that do not hold the token. */
export class Api {
  /** Without a slash at its end. */
  readonly url: string;
  readonly #token: string | undefined;

  constructor(url: string, token: string | undefined) {
    this.url = checkUrl(url);
    this.#token = token && checkToken(token);
  }

  /** Another command for the same server, as it can be pasted. */
  command(words: string): string {
    const isKnown = this.url === (process.env["POCKETFLARE_URL"] || DEFAULT_URL).replace(/\/+$/, "");
    return `npx pocketflare ${words}${isKnown ? "" : ` --url ${this.url}`}`;
  }

  async get<T>(where: string): Promise<T> {
    return this.#read<T>(await this.ask(where));
  }

  /** The same with a method, and with a body of JSON text if there is one. */
  async send<T>(method: string, where: string, body?: string, headers: { [name: string]: string } = {}): Promise<T> {
    const type = body === undefined ? {} : { "content-type": "application/json" };
    const init = { method, headers: { ...type, ...headers } };
    return this.#read<T>(await this.ask(where, body === undefined ? init : { ...init, body }));
  }

  /** The answer itself, once it is no refusal. */
  async ask(where: string, init: RequestInit & { headers?: { [name: string]: string } } = {}): Promise<Response> {
    const auth = this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
    const response = await this.#fetch(where, { ...init, headers: { ...init.headers, ...auth } });
    if (response.ok) return response;
    throw await this.#refusal(response);
  }

  async #fetch(where: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(this.url + where, init);
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw this.#unreachable(error as Error);
    }
  }

  async #read<T>(response: Response): Promise<T> {
    const text = await response.text().catch((error) => {
      throw this.#unreachable(error as Error);
    });
    try {
      return JSON.parse(text) as T;
    } catch {
      throw this.#stranger(response);
    }
  }

  async #refusal(response: Response): Promise<Failure> {
    const problem = (await response.json().catch(() => null)) as Partial<Problem> | null;
    if (typeof problem?.detail !== "string") return this.#stranger(response);
    const { detail, errors = [] } = problem;
    const more = errors.filter((each) => !detail.includes(each.detail));
    const faults = more.map(({ pointer, detail }) => `\n  ${pointer || "/"}  ${detail}`);
    const hint = response.status === 401 ? HOW_TO_GIVE_THE_TOKEN : suggestion(detail);
    return new ApiError(response.status, detail + faults.join(""), hint);
  }

  #unreachable({ message, cause }: Error): Unreachable {
    const { code, message: reason } = (cause ?? {}) as { code?: string; message?: string };
    const hint =
      "Start a server with `npx pocketflare dev`, or say with --url or POCKETFLARE_URL where one is. A new project: `npx pocketflare init`";
    return new Unreachable(`No answer from ${this.url} (${code ?? reason ?? message})`, hint);
  }

  #stranger({ status, statusText }: Response): Unreachable {
    return new Unreachable(
      `${this.url} answered ${`${status} ${statusText}`.trim()}, but not as Pocketflare does`,
      "Is the URL right, with the base path that the routes are mounted at? --url or POCKETFLARE_URL says it",
    );
  }
}

const HOW_TO_GIVE_THE_TOKEN = "Give the token in POCKETFLARE_TOKEN, or with --token";

/** The API names what there is when it refuses what there is not. */
function suggestion(detail: string): string | null {
  const missing = /^There is no \w+ `(?<typed>.*)`; there are: (?<names>.*)$/s.exec(detail);
  const { typed, names } = (missing ?? /to be one of (?<names>.*), got `(?<typed>.*)`$/s.exec(detail))?.groups ?? {};
  return typed && names ? didYouMean(typed, names.split(", ")) : null;
}

function checkUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !["http:", "https:"].includes(url.protocol)) {
    throw new UsageError(`Expected a URL such as http://localhost:8787 in --url or POCKETFLARE_URL, got \`${text}\``);
  }
  if (url.username !== "" || url.password !== "") {
    throw new UsageError(
      "Expected a URL without a user and a password in --url or POCKETFLARE_URL",
      HOW_TO_GIVE_THE_TOKEN,
    );
  }
  return url.origin + url.pathname.replace(/\/+$/, "");
}

function checkToken(token: string): string {
  // Fetch would say what it cannot send.
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new UsageError("Expected a token of visible ASCII characters without spaces; it is not shown here");
}
