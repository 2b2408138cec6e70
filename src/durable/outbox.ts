import type { RunState } from "../core/run.ts";
import type { Recall } from "./chunk-store.ts";
import { type AnnouncedRun, Deliveries, type Receipt, type Send } from "./deliveries.ts";
import type { DeliveryRow } from "./delivery-store.ts";
import { type IndexPort, News, type Subject } from "./news.ts";
import { type PerformRecall, Recalls } from "./recalls.ts";
import type { Store } from "./store.ts";

/** Whom a run tells of itself. */
export interface OutboxPorts {
  index: IndexPort;
  send: Send;
}

/** What the outbox needs of the run's object. */
export interface OutboxOwner extends Subject {
  /** The body of a delivery's message, JSON text. */
  messageOf(delivery: DeliveryRow): string;
  recall: PerformRecall;
  waitUntil(promise: Promise<unknown>): void;
  /** Something was told: what is next may be due at another time. */
  onChange(): void;
}

/** A message that was sent has been answered by then, or never is. */
const LONGEST_SEND_MS = 30_000;

/** What leaves a run for others to know: how it stands, for the index of runs; that it has ended, for its callback. */
export class Outbox {
  readonly news: News;
  readonly deliveries: Deliveries;
  readonly recalls: Recalls;
  readonly #store: Store;
  readonly #send: Send;
  readonly #owner: OutboxOwner;
  readonly #url: string | null;
  #isClosed = false;

  constructor(store: Store, url: string | null, ports: OutboxPorts, owner: OutboxOwner) {
    this.#store = store;
    this.#url = url;
    this.#send = ports.send;
    this.#owner = owner;
    this.news = new News(ports.index, owner, () => owner.onChange());
    this.deliveries = new Deliveries(store.deliveries);
    this.recalls = new Recalls(store.chunks);
  }

  /** The run has ended. Called in the transaction in which it has. */
  ended(run: AnnouncedRun, state: RunState): void {
    if (this.#url !== null) this.deliveries.announce(run, state);
  }

  /** When the object of a finished run must be awake for this; nothing where all is told. */
  latestMs(nowMs: number): number | null {
    const { dueMs, isSending } = this.deliveries;
    const { dueMs: recallMs, isRecalling } = this.recalls;
    const times = [
      isSending ? nowMs + LONGEST_SEND_MS : dueMs,
      isRecalling ? nowMs + LONGEST_SEND_MS : recallMs,
      this.news.againMs(nowMs),
    ];
    const due = times.filter((ms) => ms !== null);
    return due.length === 0 ? null : Math.min(...due);
  }

  /** Something may have changed. Nothing leaves before it is stored, so this is called after the commit. */
  look(nowMs: number): void {
    if (this.#isClosed) return;
    this.news.look(nowMs);
    const delivery = this.deliveries.take(nowMs);
    if (delivery) this.#owner.waitUntil(this.#deliver(delivery, this.#url as string));
    const recall = this.#owner.isFinished() ? this.recalls.take(nowMs) : undefined;
    if (recall) this.#owner.waitUntil(this.#recall(recall));
  }

  /** The run is being deleted: its jobs are canceled now, or never. All that is stored of them is read before this returns. */
  async recallAll(): Promise<void> {
    const recalls = this.recalls.takeAll(Date.now());
    await Promise.all(recalls.map((recall) => this.#owner.recall(recall).catch(() => undefined)));
  }

  /** When something is due that others are still to be told; nothing where they know all. */
  get pendingMs(): number | null {
    const due = [this.deliveries.dueMs, this.recalls.dueMs].filter((ms) => ms !== null);
    return due.length === 0 ? null : Math.min(...due);
  }

  /** Nothing leaves any more, once this has resolved. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.news.close();
  }

  async #deliver(delivery: DeliveryRow, url: string): Promise<void> {
    const receipt = await this.#try(delivery, url);
    if (this.#isClosed) return;
    this.#store.commit(() => this.deliveries.sent(delivery.id, receipt, Date.now()));
    this.#owner.onChange();
  }

  async #recall(recall: Recall): Promise<void> {
    const error = await this.#owner.recall(recall).then(
      () => null,
      (thrown) => String(thrown),
    );
    if (error !== null) console.warn({ message: "A job could not be canceled yet", step: recall.step, error });
    if (this.#isClosed) return;
    this.#store.commit(() => this.recalls.told(recall, error, Date.now()));
    this.#owner.onChange();
  }

  async #try(delivery: DeliveryRow, url: string): Promise<Receipt> {
    try {
      return await this.#send({ id: delivery.id, url, body: this.#owner.messageOf(delivery) });
    } catch (error) {
      return { httpStatus: null, error: String(error) };
    }
  }
}
