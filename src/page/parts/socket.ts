import { type Signal, signal } from "@preact/signals";
import { ask, token, urlOf } from "../api.ts";

const WAITS_MS = [1_000, 2_000, 4_000, 8_000, 15_000];
/** How long a quiet socket is believed to be open, and how long its answer may take. */
const PING_MS = 20_000;
const PONG_MS = 10_000;
/** After so many tries that never opened, where the API answers otherwise, sockets do not get through; perhaps later. */
const MOST_TRIES = 3;
const LATER_MS = 60_000;
/** What the server closes with where there is nothing to follow. */
const GONE = 4404;

/** How news come: `fallback` is for other ways to ask, until sockets get through; `gone` is for good. */
export type Line = { kind: "connecting" | "live" | "fallback" | "gone" } | { kind: "waiting"; untilMs: number };

/**
 * Follows one of the API's WebSockets, and connects again whenever it is lost. What it misses meanwhile is not sent again:
 * `onNews` is told of the first news of each connection, with which a view starts anew. Show its `state` with `<Connection>`.
 *
 * @example
 * useEffect(() => {
 *   const socket = new LiveSocket(`${path("runs", id)}/live`, (news: LiveNews, isFirst) => take(news, isFirst));
 *   return () => socket.close();
 * }, [id]);
 */
export class LiveSocket<News = unknown> {
  readonly state: Signal<Line> = signal({ kind: "connecting" });
  readonly #where: string;
  readonly #onNews: (news: News, isFirst: boolean) => void;
  #socket: WebSocket | null = null;
  /** Of what is to happen next: a ping, giving up on a pong, another try. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tries = 0;
  #hasOpened = false;
  #isClosed = false;

  constructor(where: string, onNews: (news: News, isFirst: boolean) => void) {
    this.#where = where;
    this.#onNews = onNews;
    this.#connect();
  }

  /** Tries again at once where it waits to. */
  retryNow(): void {
    const { kind } = this.state.peek();
    if (kind === "waiting" || kind === "fallback") this.#connect();
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
  }

  #connect(): void {
    this.#drop();
    if (this.state.peek().kind !== "fallback") this.state.value = { kind: "connecting" };
    const socket = new WebSocket(urlOf(this.#where).replace(/^http/, "ws"), protocols());
    socket.onmessage = ({ data }) => this.#hear(data as string);
    socket.onclose = ({ code }) => this.#lose(code);
    this.#socket = socket;
    this.#next(PONG_MS, () => this.#lose());
  }

  #hear(text: string): void {
    this.#next(PING_MS, () => this.#ping());
    if (text === "pong") return;
    const isFirst = this.state.peek().kind !== "live";
    if (isFirst) {
      this.#tries = 0;
      this.#hasOpened = true;
      this.state.value = { kind: "live" };
    }
    this.#onNews(JSON.parse(text) as News, isFirst);
  }

  #ping(): void {
    this.#socket?.send("ping");
    this.#next(PONG_MS, () => this.#lose());
  }

  async #lose(code?: number): Promise<void> {
    this.#drop();
    if (code === GONE) {
      this.state.value = { kind: "gone" };
      return;
    }
    const waitMs = WAITS_MS[Math.min(this.#tries++, WAITS_MS.length - 1)] as number;
    // A refused handshake does not say why. The API does, and asks for another token where that is the reason.
    const isAnswered = this.#tries >= MOST_TRIES && (await isReached());
    if (this.#isClosed || this.#socket) return;
    if (this.state.peek().kind === "fallback" || (isAnswered && !this.#hasOpened)) {
      this.state.value = { kind: "fallback" };
      this.#next(LATER_MS, () => this.#connect());
    } else {
      this.state.value = { kind: "waiting", untilMs: Date.now() + waitMs };
      this.#next(waitMs, () => this.#connect());
    }
  }

  #next(ms: number, act: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, ms);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    // Browsers report the end of one that is not open yet as an error.
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket.close();
  }
}

/** The token goes as a subprotocol: a WebSocket takes no headers, and URLs are logged. */
function protocols(): string[] {
  const text = token.peek();
  if (text === null) return ["pocketflare"];
  const base64 = btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  return ["pocketflare", `bearer.${base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`];
}

function isReached(): Promise<boolean> {
  return ask("/flows").then(
    () => true,
    () => false,
  );
}
