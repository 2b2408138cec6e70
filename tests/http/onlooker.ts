import { expect } from "vitest";
import type * as api from "../../src/http/api.ts";
import { call } from "../durable/support.ts";
import { gridOf, nodesOf } from "./looking.ts";

type Headers = { [name: string]: string };

/** What is asked to open a WebSocket. */
export function openSocket(path: string, headers: Headers = {}): Promise<Response> {
  return call(path, { headers: { upgrade: "websocket", "sec-websocket-protocol": "pocketflare", ...headers } });
}

/** A protocol that holds a token. */
export function bearerProtocol(token: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(token));
  return `bearer.${btoa(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "")}`;
}

/** Who looks on by a WebSocket, and keeps all that it is told. */
export class Onlooker<News> {
  readonly messages: News[] = [];
  /** What was no JSON. */
  readonly words: string[] = [];
  closed: number | null = null;
  readonly socket: WebSocket;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.addEventListener("message", ({ data }) => {
      if (String(data).startsWith("{")) this.messages.push(JSON.parse(String(data)));
      else this.words.push(String(data));
    });
    socket.addEventListener("close", ({ code }) => {
      this.closed = code;
    });
    socket.accept();
  }

  static async at<News>(path: string, headers: Headers = {}): Promise<Onlooker<News>> {
    const response = await openSocket(path, headers);
    expect([path, response.status]).toEqual([path, 101]);
    expect(response.headers.get("sec-websocket-protocol")).toBe("pocketflare");
    const onlooker = new Onlooker<News>(response.webSocket as WebSocket);
    await onlooker.hears(1);
    return onlooker;
  }

  /** Waits until there were so many messages. */
  async hears(count: number): Promise<void> {
    await expect.poll(() => this.messages.length, { interval: 5 }).toBeGreaterThanOrEqual(count);
  }

  leave(): void {
    this.socket.close(1000);
  }
}

/** Who looks at a run. */
export function lookAt(id: string, headers: Headers = {}): Promise<Onlooker<api.LiveNews>> {
  return Onlooker.at(`/runs/${id}/live`, headers);
}

/** What somebody knows of a run who was told this. */
export function known(messages: readonly api.LiveNews[]) {
  const run: Partial<api.RunOutline> = Object.assign({}, ...messages.map((news) => news.run ?? {}));
  const nodes = new Map(messages.flatMap((news) => news.nodes ?? []).map((node) => [node.node, node]));
  const events = messages.flatMap((news) => news.events ?? []);
  return { run, nodes: [...nodes.values()].sort(byNode), events };
}

export const byNode = (a: { node: string }, b: { node: string }) => (a.node < b.node ? -1 : 1);

/** The letters of all items, by step, as the grids of all nodes of a run have them now. */
export async function lettersOf(id: string): Promise<Map<number, string[]>> {
  const nodes = await nodesOf(id);
  const grids = await Promise.all(nodes.map(({ node }) => gridOf(id, node)));
  return new Map(grids.flat().map(([step, letters]) => [step, [...letters]]));
}

/** What becomes of letters with moves; `false` where not all moves were told. */
export function moveAll(letters: Map<number, string[]>, messages: readonly api.LiveNews[]): boolean {
  for (const { moved = [], isStale } of messages) {
    if (isStale) return false;
    for (const { step, status, indexes } of moved) {
      const known = letters.get(step) ?? [];
      for (const index of indexes) known[index] = status.charAt(0);
      letters.set(step, known);
    }
  }
  return true;
}
