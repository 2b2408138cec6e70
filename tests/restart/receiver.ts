import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";
import { onTestFinished } from "vitest";

/** A message as it arrived. */
export interface Received {
  /** Of its URL: each run of a test has one of its own. */
  path: string;
  id: string;
  body: string;
  /** By the library, with the secret that receiver and sender share. */
  isVerified: boolean;
  /** The status that it was answered with; nothing where it was not answered. */
  answered: number | null;
}

/** Never answers: the sender has to give up. */
export const HELD = 0;

/** The other side of callbacks. It is no part of what is killed. */
export class Receiver {
  readonly all: Received[] = [];
  /** The statuses of the first answers to a path. All others, and all to other paths, are 204. */
  readonly answers: { [path: string]: number[] } = {};
  readonly #webhook: Webhook;
  readonly #server: Server;

  private constructor(secret: string) {
    this.#webhook = new Webhook(secret);
    this.#server = createServer((request, response) => void this.#receive(request, response));
  }

  /** Opens a receiver that closes when the test has finished. */
  static async open(secret: string): Promise<Receiver> {
    const receiver = new Receiver(secret);
    await new Promise<void>((resolve) => receiver.#server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => receiver.#close());
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  at(path: string): Received[] {
    return this.all.filter((received) => received.path === path);
  }

  hasTaken(path: string): boolean {
    return this.at(path).some(({ answered }) => answered === 204);
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request).catch(() => undefined);
    // A sender that was killed while it sent.
    if (body === undefined) return;
    const path = request.url as string;
    const status = this.answers[path]?.[this.at(path).length] ?? 204;
    const received: Received = {
      path,
      id: String(request.headers["webhook-id"]),
      body,
      isVerified: this.#isVerified(body, request),
      answered: null,
    };
    this.all.push(received);
    if (status === HELD) return;
    response.writeHead(status).end(() => {
      received.answered = status;
    });
  }

  #isVerified(body: string, { headers }: IncomingMessage): boolean {
    try {
      this.#webhook.verify(body, headers as Record<string, string>);
      return true;
    } catch {
      return false;
    }
  }

  #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    return closed;
  }
}
