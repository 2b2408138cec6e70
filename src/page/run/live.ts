import { batch, effect, signal } from "@preact/signals";
import type { LiveNews, Log, NodeList, Run, RunOutline } from "../../http/api.ts";
import { type ApiError, get, path, search } from "../api.ts";
import type { ItemsSource, Moved } from "../items/items-view.tsx";
import { LiveSocket } from "../parts/socket.ts";
import { fallBack } from "./fallback.ts";
import { isTerminal, merge, NOTHING, type RunState, settledOf } from "./merge.ts";
import { type Mark, mark } from "./pace.ts";

const GONE = 404;

/**
 * One run, kept up to date. It is read once at first; then a WebSocket tells all anew, and what changes. Where none gets through,
 * an event stream and polling do.
 */
export class RunLive implements ItemsSource {
  readonly run = signal(NOTHING.run);
  readonly nodes = signal(NOTHING.nodes);
  readonly events = signal(NOTHING.events);
  /** Why there is nothing to show, or nothing new. */
  readonly problem = signal<{ text: string; isGone: boolean } | null>(null);
  /** What the run was asked to become, until it has answered. */
  readonly asked = signal<string | null>(null);
  /** How many items were settled of late, and when. */
  readonly marks = signal<readonly Mark[]>([]);
  readonly socket: LiveSocket<LiveNews>;
  readonly #id: string;
  readonly #listeners = new Set<(news: Moved) => void>();
  readonly #stopWatching: () => void;
  #stopFallback: (() => void) | null = null;
  #isClosed = false;
  #isReading = false;
  /** The end of the run after which all was read. */
  #polledEnd: string | null = null;

  constructor(id: string) {
    this.#id = id;
    this.socket = new LiveSocket<LiveNews>(`${path("runs", id)}/live`, (news, isFirst) => this.#hear(news, isFirst));
    this.#stopWatching = effect(() => this.#watch(this.socket.state.value.kind));
    void this.#read();
  }

  onMoved(listener: (news: Moved) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What an action has answered is known before the socket tells it. */
  take({ output: _, ...run }: Run): void {
    this.#merge({ run }, false);
  }

  /** Does what changes the run; `word` is its status meanwhile. Afterwards its status is what the run says, whatever came of it. */
  async ask(word: string, act: () => Promise<void>): Promise<void> {
    this.asked.value = word;
    await act().finally(() => {
      this.asked.value = null;
    });
  }

  /** Reads the run now, for who cannot wait to be told. */
  async refresh(): Promise<void> {
    const run = await get<Run>(path("runs", this.#id)).catch(() => null);
    if (run && !this.#isClosed) this.take(run);
  }

  close(): void {
    this.#isClosed = true;
    this.#stopWatching();
    this.#stopFallback?.();
    this.socket.close();
  }

  #hear(news: LiveNews, isFirst: boolean): void {
    if (news.deleted) {
      this.#gone("This run was deleted.");
      return;
    }
    const redrives = this.run.peek()?.redriveCount;
    this.#merge(news, isFirst);
    if (isFirst) void this.#readEvents();
    // Items may have moved while nobody told of it, and a redrive moves many.
    const isStale = isFirst || news.isStale || this.run.peek()?.redriveCount !== redrives;
    if (isStale) this.#tell("stale");
    else if (news.moved) this.#tell(news.moved);
  }

  #merge(news: LiveNews, isFirst: boolean): void {
    const before = this.#state;
    const { run, nodes, events } = merge(before, news, isFirst);
    batch(() => {
      this.run.value = run;
      this.nodes.value = nodes;
      this.events.value = events;
      if (run) this.#mark(before.run, run);
      if (run && !this.problem.peek()?.isGone) this.problem.value = null;
    });
  }

  get #state(): RunState {
    return { run: this.run.peek(), nodes: this.nodes.peek(), events: this.events.peek() };
  }

  /** The rate of before a pause or a redrive says nothing of the rate after it. */
  #mark(before: RunOutline | null, run: RunOutline): void {
    const isOther =
      before?.redriveCount !== run.redriveCount || (before.status === "paused") !== (run.status === "paused");
    this.marks.value = mark(isOther ? [] : this.marks.peek(), { atMs: Date.now(), settled: settledOf(run.items) });
  }

  #tell(news: Moved): void {
    for (const listener of this.#listeners) listener(news);
  }

  #watch(kind: string): void {
    if (kind === "gone") this.#gone("There is no such run, or not any more.");
    if (kind !== "fallback") {
      this.#stopFallback?.();
      this.#stopFallback = null;
    } else {
      this.#stopFallback ??= fallBack(this.#id, {
        onRun: (run, isWhole) =>
          this.#merge({ run, ...(isWhole && { nodes: [...this.nodes.peek().values()] }) }, isWhole),
        onDeleted: () => this.#gone("This run was deleted."),
        onPoll: () => this.#poll(),
      });
    }
  }

  /** What the event stream leaves out. */
  async #poll(): Promise<void> {
    const run = this.run.peek();
    if (this.#isReading || !run || (isTerminal(run) && run.finishedAt === this.#polledEnd)) return;
    this.#isReading = true;
    const { nodes } = await get<NodeList>(`${path("runs", this.#id)}/nodes`).catch(() => ({ nodes: [] }));
    this.#merge({ nodes }, false);
    await this.#readEvents();
    this.#isReading = false;
    this.#polledEnd = run.finishedAt;
    this.#tell("stale");
  }

  /** The run, before a socket is open. */
  async #read(): Promise<void> {
    const where = path("runs", this.#id);
    try {
      const [{ output: _, ...run }, { nodes }] = await Promise.all([
        get<Run>(where),
        get<NodeList>(`${where}/nodes`).catch((): NodeList => ({ nodes: [] })),
      ]);
      if (this.#isClosed || this.run.peek()) return;
      this.#merge({ run, nodes }, true);
      await this.#readEvents();
    } catch (error) {
      const { status, message } = error as ApiError;
      if (status === GONE) this.#gone(message);
      else if (!this.run.peek()) this.problem.value = { text: message, isGone: false };
    }
  }

  /** The events after the last one that is known. */
  async #readEvents(): Promise<void> {
    for (let after = this.events.peek().at(-1)?.id ?? 0; !this.#isClosed; ) {
      const { events } = await get<Log>(`${path("runs", this.#id)}/log${search({ after })}`).catch(() => ({
        events: [],
      }));
      const last = events.at(-1);
      if (!last) return;
      this.#merge({ events }, false);
      after = last.id;
    }
  }

  #gone(text: string): void {
    this.problem.value = { text, isGone: true };
    this.close();
  }
}
