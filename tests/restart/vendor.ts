import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";
import type { Answer } from "./worker/flows.ts";

export interface Call {
  item: string;
  /** By this process's clock. */
  atMs: number;
}

/** What the vendor says of an item. */
export function summaryOf(item: string): string {
  return `${item}, in short`;
}

/**
 * The outside world that exec calls. It is no part of what is killed, and counts for itself: a call is in flight from its
 * arrival until its answer is written or its connection is closed.
 */
export class Vendor {
  readonly calls: Call[] = [];
  answered = 0;
  inFlight = 0;
  peak = 0;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    // A caller that keeps a connection for its next call should find it open.
    this.#server.keepAliveTimeout = 60_000;
  }

  /** Opens a vendor that closes when the test has finished. */
  static async open(): Promise<Vendor> {
    const vendor = new Vendor();
    await new Promise<void>((resolve) => vendor.#server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => vendor.#close());
    return vendor;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  callsOf(item: string): Call[] {
    return this.calls.filter((call) => call.item === item);
  }

  /** The first call after a moment. */
  firstCallAfter(ms: number): Call | undefined {
    return this.calls.find((call) => call.atMs > ms);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#arrive(response);
    const atMs = performance.now();
    const { item, ms } = JSON.parse(await text(request).catch(() => "{}")) as { item?: string; ms: number };
    // A caller that was killed while it sent the call.
    if (item === undefined) return;
    const call = this.calls.push({ item, atMs });
    await sleep(ms);
    if (response.destroyed) return;
    response.end(JSON.stringify({ value: summaryOf(item), call } satisfies Answer));
    this.answered++;
    response.emit("answered");
  }

  #arrive(response: ServerResponse): void {
    this.inFlight++;
    this.peak = Math.max(this.peak, this.inFlight);
    let isOver = false;
    const end = () => {
      if (!isOver) this.inFlight--;
      isOver = true;
    };
    response.once("answered", end).once("close", end);
  }

  #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    return closed;
  }
}
