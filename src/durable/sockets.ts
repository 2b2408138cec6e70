/** Told so long after something has changed at most, together with what else has changed by then. */
const TICK_MS = 250;
/** What a page and this API speak to each other: the first of the protocols that it offers. */
export const PROTOCOL = "pocketflare";

/**
 * The WebSockets of those who look at an object. They hibernate: while nothing changes the object need not be in memory for
 * them, and what they send to see whether they are still heard is answered without it.
 */
export class Sockets {
  readonly #ctx: DurableObjectState;
  /** What has changed since this was last asked, for all who look on. Nothing where nothing has. */
  readonly #news: () => object | null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  /** Whether anybody looks on. Asked whenever something changes, so it is remembered. */
  #areOpen: boolean;

  constructor(ctx: DurableObjectState, news: () => object | null) {
    this.#ctx = ctx;
    this.#news = news;
    this.#areOpen = ctx.getWebSockets().length > 0;
    // It outlives the object's memory, so that it is set once.
    if (!this.#areOpen) ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
  }

  get areOpen(): boolean {
    return this.#areOpen;
  }

  /** Somebody looks on from now on, and is told `first` at once. */
  accept(first: object): Response {
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.#ctx.acceptWebSocket(ours);
    this.#areOpen = true;
    ours.send(JSON.stringify(first));
    return new Response(null, {
      status: 101,
      webSocket: theirs,
      headers: { "sec-websocket-protocol": PROTOCOL },
    });
  }

  /** One of them has gone, perhaps the last. */
  left(socket: WebSocket): void {
    this.#areOpen = this.#ctx.getWebSockets().some((each) => each !== socket);
    socket.close(1000);
  }

  /** Something has changed that those who look on can see. */
  changed(): void {
    if (!this.#areOpen) return;
    this.#timer ??= setTimeout(() => this.#tell(), TICK_MS);
  }

  /** Tells a last thing, and nothing more after that. */
  close(last: object): void {
    const text = JSON.stringify(last);
    for (const socket of this.#ctx.getWebSockets()) {
      send(socket, text);
      socket.close(1000);
    }
  }

  #tell(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const news = this.areOpen ? this.#news() : null;
    if (news === null) return;
    const text = JSON.stringify(news);
    for (const socket of this.#ctx.getWebSockets()) send(socket, text);
  }
}

/** One that has gone, and whose end was not heard of yet, is passed over. */
function send(socket: WebSocket, text: string): void {
  try {
    socket.send(text);
  } catch {
    // Its end will be told to `webSocketClose`.
  }
}
