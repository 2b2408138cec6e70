// A vendor with limits, as a process of its own: `node limited-vendor.ts ACCOUNTS` takes its accounts as JSON, prints its
// address, and has no way to end but a signal. It has a clock and an event loop of its own: neither a test nor a server that
// is busy makes a call seem later than it was.
//
//   POST /calls/ACCOUNT     a call: takes { item }, answers { tokens }, or 429 above a limit
//   POST /refusals/ACCOUNT  the next call of an account is refused: takes { retryAfter } in seconds
//   GET  /now               its clock, and how many calls it has had of each account
//   GET  /calls             all calls that have ended
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Call } from "./windows.ts";
import type { Reply } from "./worker/limited.ts";

/** What a vendor allows an account. */
export interface AccountOptions {
  /** Calls that may begin in any window of `windowMs`, by their arrival. Default: any number. */
  requests?: number;
  windowMs?: number;
  /** Calls that may be under way at once. Default: any number. */
  concurrency?: number;
  /** How long it takes with a call. */
  latencyMs: number;
}

/** What the vendor says while calls go on. */
export interface Now {
  nowMs: number;
  /** By account. */
  calls: { [account: string]: number };
}

/** What the next call of an account is told, in place of an answer. */
export interface Refusal {
  /** Seconds. */
  retryAfter: number;
}

/** One account's limits, and what counts against them. */
class Account {
  calls = 0;
  readonly refusals: Refusal[] = [];
  readonly options: AccountOptions;
  /** When the calls that were not refused arrived. */
  readonly #startsMs: number[] = [];
  #inFlight = 0;

  constructor(options: AccountOptions) {
    this.options = options;
  }

  /** Counts a call in, unless it is above a limit. */
  admit(arrivedMs: number): boolean {
    const { requests = Number.POSITIVE_INFINITY, windowMs = 0, concurrency = Number.POSITIVE_INFINITY } = this.options;
    const earliestMs = this.#startsMs.at(-requests) ?? Number.NEGATIVE_INFINITY;
    if (earliestMs > arrivedMs - windowMs || this.#inFlight >= concurrency) return false;
    this.#startsMs.push(arrivedMs);
    this.#inFlight++;
    return true;
  }

  leave(): void {
    this.#inFlight--;
  }
}

const options = JSON.parse(process.argv[2] as string) as { [name: string]: AccountOptions };
const accounts = new Map(Object.entries(options).map(([name, account]) => [name, new Account(account)]));
const calls: Call[] = [];

const server = createServer((request, response) => {
  // Before anything else: this is when the call began.
  const arrivedMs = performance.now();
  const [, place, name = ""] = (request.url as string).split("/");
  const account = accounts.get(name);
  if (place === "calls" && account) void serveCall(new Visit(name, account, arrivedMs), request, response);
  else if (place === "refusals" && account) void takeRefusal(account, request, response);
  else if (place === "calls" && name === "") answer(response, 200, calls);
  else if (place === "now") answer(response, 200, now());
  else answer(response, 404, { error: `Nothing at ${request.url}` });
});
// A caller that keeps a connection for its next call should find it open.
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  console.log(`Ready on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});

/** One call at its account. */
class Visit {
  readonly refusal: Refusal | undefined;
  readonly isAdmitted: boolean;
  readonly call: Call;
  readonly #account: Account;
  #isOver = false;

  constructor(name: string, account: Account, arrivedMs: number) {
    this.#account = account;
    this.refusal = account.refusals.shift();
    this.isAdmitted = this.refusal === undefined && account.admit(arrivedMs);
    this.call = { account: name, item: "", key: "", arrivedMs, endedMs: Number.NaN, status: 0, tokens: 0 };
    account.calls++;
  }

  get latencyMs(): number {
    return this.isAdmitted ? this.#account.options.latencyMs : 0;
  }

  /** Once: when the call is answered, or when its caller hangs up before that. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.call.endedMs = performance.now();
    calls.push(this.call);
    if (this.isAdmitted) this.#account.leave();
  }
}

async function serveCall(visit: Visit, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { call, isAdmitted, refusal } = visit;
  response.once("close", () => visit.end());
  call.key = String(request.headers["idempotency-key"]);
  const { item } = JSON.parse(await text(request).catch(() => "{}")) as { item?: string };
  // A caller that was killed while it sent the call.
  if (item === undefined) return;
  call.item = item;
  setTimeout(() => {
    if (response.destroyed) return;
    call.status = isAdmitted ? 200 : 429;
    call.tokens = isAdmitted ? tokensOf(item) : 0;
    // Before the answer is on its way: who has read it may call again.
    visit.end();
    const headers = refusal && { "retry-after": String(refusal.retryAfter) };
    answer(response, call.status, { tokens: call.tokens } satisfies Reply, headers);
  }, visit.latencyMs);
}

/** What a call about an item uses: 60 to 180 tokens, the same each time. FNV-1a, as in src/http/ids.ts. */
function tokensOf(item: string): number {
  let hash = 0x811c9dc5;
  for (const character of item) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) >>> 0;
  return 60 + ((hash >>> 8) % 121);
}

async function takeRefusal(account: Account, request: IncomingMessage, response: ServerResponse): Promise<void> {
  account.refusals.push(JSON.parse(await text(request)) as Refusal);
  answer(response, 204);
}

function now(): Now {
  const counts = Array.from(accounts, ([name, account]) => [name, account.calls] as const);
  return { nowMs: performance.now(), calls: Object.fromEntries(counts) };
}

function answer(
  response: ServerResponse,
  status: number,
  body?: object,
  headers: { [name: string]: string } = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
