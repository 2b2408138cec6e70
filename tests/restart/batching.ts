import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { spawnGroup } from "../../demo/group.ts";
import { type BatchSettings, type Control, type Counts, type Place, placeOf } from "./batch-vendor.ts";
import { type Chance, chance } from "./seed.ts";
import { addressOf, Site } from "./server.ts";
import { VENDOR_KEY } from "./worker/jobs.ts";

const PROCESS = join(import.meta.dirname, "batch-vendor.ts");
const IS_OVER = ["completed", "expired", "failed", "cancelled"];

/** A vendor of batches: a process of its own, which no kill of a server ends. */
export class Batches {
  readonly url: string;

  private constructor(url: string) {
    this.url = url;
  }

  /** Starts a vendor that ends when the test has finished. */
  static async open(settings: Partial<BatchSettings>): Promise<Batches> {
    const group = spawnGroup(PROCESS, [JSON.stringify({ key: VENDOR_KEY, ...settings })], { output: "pipe" });
    onTestFinished(() => group.kill());
    return new Batches(await addressOf(group));
  }

  async counts(): Promise<Counts> {
    return (await (await fetch(`${this.url}/counts`)).json()) as Counts;
  }

  async control(control: Control): Promise<Counts> {
    const response = await fetch(`${this.url}/control`, { method: "POST", body: JSON.stringify(control) });
    if (!response.ok) throw new Error(`Expected 200, got ${response.status}: ${await response.text()}`);
    return (await response.json()) as Counts;
  }
}

/** `asked`: before the vendor hears of a call. `answered`: it has answered, and nobody has heard. `begun`: a piece has passed. */
export type Moment = "asked" | "answered" | "begun";

interface Stop {
  place: Place;
  moment: Moment;
  reach: () => void;
}

/** The way from a server to the vendor: calls are stopped on it where a test wants them to be, and what passes is counted. */
export class Way {
  /** Most jobs that the vendor had at once, by its own answers. */
  peak = 0;
  readonly #running = new Set<string>();
  readonly #vendorUrl: string;
  #stops: Stop[] = [];
  #stopped: (() => void)[] = [];
  #server: Server;
  #port = 0;

  private constructor(vendorUrl: string) {
    this.#vendorUrl = vendorUrl;
    this.#server = this.#serverOf();
  }

  static async open(vendorUrl: string): Promise<Way> {
    const way = new Way(vendorUrl);
    await way.reopen();
    onTestFinished(() => way.close());
    return way;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The next call of a kind is stopped at a moment. Resolves once one stands there; it does until its caller is gone, or `goOn`. */
  stop(place: Place, moment: Moment): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stops.push({ place, moment, reach: resolve });
    return promise;
  }

  /** Lets all calls pass that were stopped, or were to be. */
  goOn(): void {
    this.#stops = [];
    for (const resume of this.#stopped.splice(0)) resume();
  }

  /** Nobody is at the vendor's address any more. */
  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  /** The vendor is at its address, which is the one that it had. */
  async reopen(): Promise<void> {
    this.#server = this.#serverOf();
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  #serverOf(): Server {
    const server = createServer((request, response) => {
      this.#pass(request, response).catch(() => response.destroy());
    });
    server.keepAliveTimeout = 60_000;
    server.on("error", () => undefined);
    return server;
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = request;
    const [, place] = placeOf(`${method} ${url.replace(/\?.*/, "")}`) ?? [];
    const body = await buffer(request);
    await this.#stand(place, "asked");
    if (response.destroyed) return;
    const { authorization = "", "content-type": type = "", "idempotency-key": key } = headers;
    const hungUp = new AbortController();
    response.once("close", () => hungUp.abort());
    const answer = await fetch(this.#vendorUrl + url, {
      method,
      headers: { authorization, "content-type": type, ...(key ? { "idempotency-key": String(key) } : {}) },
      ...(method === "GET" ? {} : { body: new Uint8Array(body) }),
      signal: hungUp.signal,
    });
    if (place === "content" && answer.ok) return this.#stream(answer, response);
    const text = await answer.text();
    this.#count(place, answer.ok, text);
    await this.#stand(place, "answered");
    response.writeHead(answer.status, { "content-type": "application/json" });
    response.end(text);
  }

  async #stream(answer: Response, response: ServerResponse): Promise<void> {
    await this.#stand("content", "answered");
    response.writeHead(answer.status, { "content-type": "application/octet-stream" });
    for await (const piece of answer.body ?? []) {
      response.write(piece);
      await this.#stand("content", "begun");
    }
    response.end();
  }

  #count(place: Place | undefined, isOk: boolean, text: string): void {
    if (!isOk || (place !== "create" && place !== "poll")) return;
    const { id, status } = JSON.parse(text) as { id: string; status: string };
    if (IS_OVER.includes(status)) this.#running.delete(id);
    else this.#running.add(id);
    this.peak = Math.max(this.peak, this.#running.size);
  }

  async #stand(place: Place | undefined, moment: Moment): Promise<void> {
    const stop = this.#stops.find((wanted) => wanted.place === place && wanted.moment === moment);
    if (!stop) return;
    this.#stops = this.#stops.filter((wanted) => wanted !== stop);
    stop.reach();
    await new Promise<void>((resolve) => this.#stopped.push(resolve));
  }
}

/** A server, the vendor, and the way between them. */
export interface Scene {
  site: Site;
  vendor: Batches;
  way: Way;
  luck: Chance;
}

export async function open(settings: Partial<BatchSettings> = {}): Promise<Scene> {
  const vendor = await Batches.open(settings);
  const way = await Way.open(vendor.url);
  const site = new Site(way.url);
  await site.start();
  return { site, vendor, way, luck: chance() };
}

/** SIGKILL to the server, which is then started again. What stood on its way to the vendor is gone. */
export async function restart({ site, way }: Scene): Promise<void> {
  await site.kill();
  way.goOn();
  await site.start();
}
