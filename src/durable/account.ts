import { type Answer, idsOf, pack, type Request, ranges } from "../core/limiter.ts";
import type { ItemId } from "./items.ts";
import type { PermitEnding } from "./permits.ts";

/** An item that waits for its permits. */
export interface Ask {
  item: ItemId;
  /** The names of the accounts it needs a permit of, in the order in which it asks. */
  accounts: readonly string[];
  tokens: number[];
  /** Those it has, at the places of their accounts. */
  permits: (number | null)[];
}

/** What an answer made of asks. */
export interface Exchange {
  granted: [id: number, ask: Ask][];
  /** Those that now wait here. */
  refused: Ask[];
  /** The next one in the queue wants more than there ever is. */
  tooLarge: { ask: Ask; tokens: number; most: number } | null;
  /** Permits that nobody wants any more. */
  surplus: number[];
  /** Permits that the run had, and has no more: their lease ended before the limiter heard of it again. */
  gone: number[];
}

export interface AccountPorts {
  /** Numbers of a run's requests: they rise, though accounts come and go. */
  nextNumber(): number;
  /** Nothing is answered where a later life of the run has spoken. */
  exchange(request: Request): Promise<Answer | null>;
  onExchange(exchange: Exchange): void;
}

interface Queued {
  ask: Ask;
  tokens: number;
  /** Whether the limiter was asked, and has not granted it. */
  isRefused: boolean;
}

/** Calls to a limiter are at least so far apart: what happens meanwhile travels together. */
const PAUSE_MS = 10;
/** That a call has begun is news that may wait for company. */
const BEGUN_PAUSE_MS = 100;
const FIRST_BACKOFF_MS = 50;
const LONGEST_BACKOFF_MS = 2_000;
/** So often a limiter is told what it can also find out by itself: the lease of what a run no longer speaks of ends. */
const MOST_FAILURES = 5;

/**
 * A run's dealings with one limit and key. One call at a time tells the limiter everything it has not been told, and may be
 * repeated: permits have numbers, wants and holdings are stated in full.
 */
export class Account {
  readonly name: string;
  /** The permits the run has. */
  readonly holds = new Set<number>();
  /** When the limiter was last heard. */
  heardMs = Date.now();
  /** When it said that waiting asks may go on; nothing where it could not say. */
  retryMs: number | null = null;
  hasGivenUp = false;
  /** Resolves with the next answer, while a call is on its way or about to be. */
  answer: Promise<void> | undefined;
  readonly #run: string;
  readonly #life: number;
  readonly #ports: AccountPorts;
  #heard: number | null = null;
  #queue: Queued[] = [];
  #news: News = emptyNews();
  #isCalling = false;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #timedMs = Number.POSITIVE_INFINITY;
  #calledMs = 0;
  /** Calls in a row that failed. */
  #failures = 0;
  #onAnswer: () => void = () => undefined;

  constructor(name: string, run: string, life: number, ports: AccountPorts) {
    this.name = name;
    this.#run = run;
    this.#life = life;
    this.#ports = ports;
  }

  /** Whether the limiter has answered in this life of the run. */
  get isKnown(): boolean {
    return this.#heard !== null;
  }

  get isAsking(): boolean {
    return this.#queue.some(({ isRefused }) => !isRefused);
  }

  get isWaiting(): boolean {
    return this.#queue.some(({ isRefused }) => isRefused);
  }

  add(ask: Ask, tokens: number): void {
    this.#queue.push({ ask, tokens, isRefused: false });
    this.call();
  }

  begin(id: number, atMs: number): void {
    if (!this.holds.has(id)) return;
    this.#news.begun.set(id, atMs);
    this.call(BEGUN_PAUSE_MS);
  }

  end(id: number, atMs: number, ending: PermitEnding): void {
    if (!this.holds.delete(id)) return;
    this.#news.ended.push({ id, atMs, ending });
    this.call();
  }

  refund(id: number): void {
    if (!this.holds.delete(id)) return;
    this.#news.refunds.push(id);
    this.call();
  }

  /** Nothing is wanted any more. Returns what was. */
  withdraw(): Ask[] {
    const asks = this.#queue.map(({ ask }) => ask);
    this.#queue = [];
    if (asks.length > 0) this.call();
    return asks;
  }

  /** Whether an ask still waits here. */
  has(ask: Ask): boolean {
    return this.#queue.some((queued) => queued.ask === ask);
  }

  /** Whether there is nothing left to be said or heard. */
  get isIdle(): boolean {
    const { begun, ended, refunds } = this.#news;
    const news = begun.size + ended.length + refunds.length;
    return (
      !this.#isCalling &&
      this.#timedMs === Number.POSITIVE_INFINITY &&
      news + this.#queue.length + this.holds.size === 0
    );
  }

  /** Calls the limiter soon, with all there is to say by then. */
  call(delayMs?: number): void {
    const nowMs = Date.now();
    const atMs = Math.max(nowMs + (delayMs ?? 0), this.#calledMs + PAUSE_MS);
    if (delayMs !== BEGUN_PAUSE_MS) this.#expectAnswer();
    const isGivenTime = this.#failures > 0 && this.#timedMs < Number.POSITIVE_INFINITY;
    if (atMs >= this.#timedMs || isGivenTime) return;
    if (this.#isCalling) this.#timedMs = atMs;
    else this.#setTimer(atMs, nowMs);
  }

  /** Takes over what the limiter says. Permits it has told of before are known by their numbers. */
  accept(answer: Answer): void {
    const heard = this.#heard ?? 0;
    const ids = idsOf(answer.granted).filter((id) => id > heard);
    const exchange: Exchange = { granted: [], refused: [], tooLarge: null, surplus: [], gone: [] };
    for (const id of ids) {
      this.holds.add(id);
      const next = this.#queue.shift();
      if (next) exchange.granted.push([id, next.ask]);
      else exchange.surplus.push(id);
    }
    for (const id of answer.gone) if (this.holds.delete(id)) exchange.gone.push(id);
    if (answer.last >= heard) this.#note(answer, exchange);
    this.#ports.onExchange(exchange);
  }

  /** What only the latest word of the limiter says. */
  #note({ last, retryAfterMs, mostTokens, hasGivenUp }: Answer, exchange: Exchange): void {
    this.#heard = last;
    this.heardMs = Date.now();
    this.hasGivenUp = hasGivenUp;
    this.retryMs = retryAfterMs === null ? null : this.heardMs + retryAfterMs;
    if (mostTokens !== null) exchange.tooLarge = this.#dropTooLarge(mostTokens);
  }

  #dropTooLarge(most: number): Exchange["tooLarge"] {
    const next = this.#queue[0];
    if (!next || next.tokens <= most) return null;
    this.#queue.shift();
    this.call();
    return { ask: next.ask, tokens: next.tokens, most };
  }

  #setTimer(atMs: number, nowMs: number): void {
    clearTimeout(this.#timer);
    this.#timedMs = atMs;
    this.#timer = setTimeout(() => void this.#call(), Math.max(0, atMs - nowMs));
  }

  #expectAnswer(): void {
    if (this.answer) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.answer = promise;
    this.#onAnswer = resolve;
  }

  async #call(): Promise<void> {
    this.#isCalling = true;
    this.#timedMs = Number.POSITIVE_INFINITY;
    try {
      await this.#exchange();
      this.#failures = 0;
    } catch (error) {
      console.warn({ message: "A limiter was not reached", run: this.#run, limit: this.name, error: String(error) });
      this.#tryAgain();
    }
    this.#isCalling = false;
    if (this.#timedMs < Number.POSITIVE_INFINITY) this.#setTimer(this.#timedMs, Date.now());
    if (this.#timedMs === Number.POSITIVE_INFINITY || this.#failures > 0) this.#answered();
  }

  #tryAgain(): void {
    this.#failures++;
    if (this.#queue.length === 0 && this.#failures > MOST_FAILURES) return;
    this.#timedMs = Date.now() + Math.min(FIRST_BACKOFF_MS * 2 ** this.#failures, LONGEST_BACKOFF_MS);
  }

  #answered(): void {
    this.answer = undefined;
    this.#onAnswer();
  }

  async #exchange(): Promise<void> {
    const news = this.#news;
    this.#news = emptyNews();
    const sent = [...this.#queue];
    try {
      this.#calledMs = Date.now();
      const answer = await this.#ports.exchange(this.#request(news, sent, this.#calledMs));
      // A later life of the run speaks for it now: whoever this is has nothing more to say.
      if (answer === null) return;
      this.accept(answer);
      this.#refuse(sent);
    } catch (error) {
      this.#news = mergeNews(news, this.#news);
      throw error;
    }
  }

  /** What was asked and not granted has to wait. */
  #refuse(sent: Queued[]): void {
    const waiting = new Set(this.#queue);
    const refused = sent.filter((queued) => waiting.has(queued));
    const fresh = refused.filter(({ isRefused }) => !isRefused);
    for (const queued of fresh) queued.isRefused = true;
    if (fresh.length === 0) return;
    this.#ports.onExchange({
      granted: [],
      refused: fresh.map(({ ask }) => ask),
      tooLarge: null,
      surplus: [],
      gone: [],
    });
  }

  /** Times are sent as ages: the clocks of two objects differ. */
  #request(news: News, queue: Queued[], nowMs: number): Request {
    return {
      run: this.#run,
      life: this.#life,
      number: this.#ports.nextNumber(),
      heard: this.#heard,
      holds: ranges(this.holds),
      begun: [...news.begun].map(([id, atMs]) => ({ id, ageMs: nowMs - atMs })),
      ended: news.ended.map(({ id, atMs, ending }) => ({ id, ageMs: nowMs - atMs, ...ending })),
      refunds: news.refunds,
      wants: pack(queue.map(({ tokens }) => tokens)),
    };
  }
}

/** What a limiter was not told yet. */
interface News {
  begun: Map<number, number>;
  ended: { id: number; atMs: number; ending: PermitEnding }[];
  refunds: number[];
}

function emptyNews(): News {
  return { ended: [], refunds: [], begun: new Map() };
}

function mergeNews(before: News, after: News): News {
  return {
    ended: [...before.ended, ...after.ended],
    refunds: [...before.refunds, ...after.refunds],
    begun: new Map([...before.begun, ...after.begun]),
  };
}
