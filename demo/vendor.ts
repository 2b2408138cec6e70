import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text as readText } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { summarize } from "../worker/summarizer.ts";

/** What the vendor saw, by its own count. */
export interface VendorStats {
  /** Calls that arrived. */
  calls: number;
  /** Calls whose idempotency key had come before: the same work, done again. */
  repeats: number;
  /** Calls neither answered nor hung up on yet. */
  inFlight: number;
  /** The most that were ever in flight at once. */
  peak: number;
  /** Calls that were hung up on before they were answered. */
  lost: number;
}

/** What a scripted call is answered instead of a summary. */
export interface ScriptedAnswer {
  status: number;
  headers?: Record<string, string>;
  /** Sent as it is if a string, else as JSON. */
  body?: unknown;
}

export interface VendorOptions {
  /** 0 takes a free one. */
  port?: number;
  /** How long a call takes. Default 500. */
  latencyMs?: number;
}

export interface Vendor {
  /** For `LLM_BASE_URL`. */
  baseUrl: string;
  stats(): VendorStats;
  /** The next calls get these answers in turn; `null` is an ordinary one. */
  script(answers: readonly (ScriptedAnswer | null)[]): void;
  close(): Promise<void>;
}

/**
 * Starts a stand-in for an LLM vendor on loopback: OpenAI-compatible, as slow as one, with the built-in summarizer for a model.
 * `GET /stats` gives its counts; `POST /script` takes a JSON array for `script`.
 *
 * @example
 * const vendor = await startVendor({ latencyMs: 100 });
 * vendor.script([{ status: 429, headers: { "retry-after": "1" } }]); // the next call only
 */
export async function startVendor({ port = 0, latencyMs = 500 }: VendorOptions = {}): Promise<Vendor> {
  const desk = new Desk(latencyMs);
  const server = createServer((request, response) => void desk.serve(request, response));
  // A caller that keeps a connection for its next burst should find it open, not meet a reset just then.
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    stats: () => desk.stats(),
    script: (answers) => desk.script(answers),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

class Desk {
  readonly #latencyMs: number;
  readonly #scripted: (ScriptedAnswer | null)[] = [];
  readonly #keys = new Set<string>();
  readonly #counts: VendorStats = { calls: 0, repeats: 0, inFlight: 0, peak: 0, lost: 0 };

  constructor(latencyMs: number) {
    this.#latencyMs = latencyMs;
  }

  stats(): VendorStats {
    return { ...this.#counts };
  }

  script(answers: readonly (ScriptedAnswer | null)[]): void {
    this.#scripted.push(...answers);
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#route(request, response);
    } catch (error) {
      // Also met when the caller hung up: then there is nobody left to tell, and `end` does nothing.
      answer(response, failure(400, String(error)));
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    switch (`${request.method} ${request.url}`) {
      case "POST /v1/chat/completions":
        return this.#complete(request, response);
      case "GET /stats":
        return answer(response, { status: 200, body: this.stats() });
      case "POST /script":
        this.script(JSON.parse(await readText(request)) as (ScriptedAnswer | null)[]);
        return answer(response, { status: 204 });
      default:
        return answer(response, failure(404, `Nothing at ${request.method} ${request.url}`));
    }
  }

  async #complete(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#count(request, response);
    const scripted = this.#scripted.shift();
    // Summarized while it waits: the callers should meet the latency, not the queue for this process's one thread.
    const summarized = readText(request).then((body) => scripted ?? { status: 200, body: completion(body) });
    const [reply] = await Promise.all([summarized, sleep(this.#latencyMs)]);
    if (response.destroyed) return;
    answer(response, reply);
  }

  #count(request: IncomingMessage, response: ServerResponse): void {
    const counts = this.#counts;
    const key = request.headers["idempotency-key"];
    counts.calls++;
    counts.inFlight++;
    counts.peak = Math.max(counts.peak, counts.inFlight);
    if (typeof key === "string" && this.#keys.has(key)) counts.repeats++;
    if (typeof key === "string") this.#keys.add(key);
    // Comes once for each response, whether it was sent in full or the caller hung up.
    response.once("close", () => {
      counts.inFlight--;
      if (!response.writableFinished) counts.lost++;
    });
  }
}

function completion(body: string): object {
  const { model, messages } = JSON.parse(body) as { model?: string; messages: { content: string }[] };
  const prompt = messages.at(-1)?.content ?? "";
  const content = summarize(prompt.replace(/^Summarize: /, ""));
  const choice = { index: 0, message: { role: "assistant", content }, finish_reason: "stop" };
  return { id: `chatcmpl-${randomUUID()}`, object: "chat.completion", model: model ?? "extractive", choices: [choice] };
}

function failure(status: number, message: string): ScriptedAnswer {
  return { status, body: { error: { message } } };
}

function answer(response: ServerResponse, { status, headers, body }: ScriptedAnswer): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(typeof body === "string" || body === undefined ? body : JSON.stringify(body));
}

/** As a process of its own: `node demo/vendor.ts --latency 500 --port 0` prints its base URL. */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { latency: { type: "string" }, port: { type: "string" } } });
  const vendor = await startVendor({ latencyMs: Number(values.latency ?? 500), port: Number(values.port ?? 0) });
  console.log(vendor.baseUrl);
}

if (process.argv[1] === import.meta.filename) await main();
