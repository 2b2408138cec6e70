import type { RunState } from "../core/run.ts";
import type { DeliveryRow, DeliveryStore } from "./delivery-store.ts";

/** What a run's callback is told: a Standard Webhooks message. */
export interface Message {
  /** The same for every try. */
  id: string;
  url: string;
  /** JSON text. */
  body: string;
}

/** How the receiver took a message: its HTTP status, or why there is none. */
export interface Receipt {
  httpStatus: number | null;
  error: string | null;
}

/** Sends a message. Never throws. */
export type Send = (message: Message) => Promise<Receipt>;

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
/**
 * How long after each try the next one follows, as the Standard Webhooks specification proposes
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md): a receiver may be away for a day.
 */
const WAITS_MS = [5 * SECOND_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 2 * HOUR_MS, 5 * HOUR_MS, 10 * HOUR_MS, 14 * HOUR_MS];
/** With this status a receiver says that it wants no more messages. */
const GONE = 410;
const LONGEST_ERROR = 300;

/** The run whose end is told. */
export interface AnnouncedRun {
  id: string;
  createdMs: number;
}

/** The message of a run's end: each end has one, and an end is one redrive's. */
export function announced({ id, createdMs }: AnnouncedRun, state: RunState): DeliveryRow {
  const { status, finishedMs, redriveCount } = state;
  return {
    // With an idempotency key another run has had this id, or will: what receivers are told of each is something else.
    id: `msg_${id}_${createdMs.toString(36)}_${redriveCount}`,
    type: `run.${status}`,
    status: "pending",
    createdMs: finishedMs as number,
    tries: 0,
    dueMs: finishedMs,
    triedMs: null,
    httpStatus: null,
    error: null,
  };
}

/** What a receipt makes of a delivery. Pure. */
export function afterTry(delivery: DeliveryRow, { httpStatus, error }: Receipt, nowMs: number): DeliveryRow {
  const tried = { ...delivery, tries: delivery.tries + 1, triedMs: nowMs, httpStatus, dueMs: null };
  const isTaken = httpStatus !== null && httpStatus >= 200 && httpStatus < 300;
  if (isTaken) return { ...tried, status: "delivered", error: null };
  const why = (error ?? `The receiver answered with status ${httpStatus}`).slice(0, LONGEST_ERROR);
  const waitMs = httpStatus === GONE ? undefined : WAITS_MS[delivery.tries];
  if (waitMs === undefined) return { ...tried, status: "failed", error: why };
  return { ...tried, dueMs: nowMs + waitMs, error: why };
}

/** What a run's callback is told of its ends: kept in rows, tried until it was taken. */
export class Deliveries {
  readonly #store: DeliveryStore;
  #rows: Map<string, DeliveryRow>;
  /** Of the message that is under way. */
  #sending: string | null = null;

  constructor(store: DeliveryStore) {
    this.#store = store;
    this.#rows = new Map(store.all().map((row) => [row.id, row]));
  }

  get all(): DeliveryRow[] {
    return [...this.#rows.values()];
  }

  /** When what is pending is due, be it under way or not; nothing where nothing is pending. */
  get dueMs(): number | null {
    const due = this.all.flatMap(({ dueMs }) => dueMs ?? []);
    return due.length === 0 ? null : Math.min(...due);
  }

  /** Whether a message is under way. */
  get isSending(): boolean {
    return this.#sending !== null;
  }

  /** The run has ended. Called in the transaction in which it has. */
  announce(run: AnnouncedRun, state: RunState): void {
    this.#save(announced(run, state));
  }

  /** The run goes on: its end is of no interest any more. Called in the transaction in which it does. */
  drop(): void {
    for (const row of this.all) {
      if (row.status !== "pending") continue;
      this.#save({ ...row, status: "dropped", dueMs: null, error: row.error ?? "The run was taken up again" });
    }
  }

  /** Takes what is due now, to be sent: nothing else is until `sent` was called. */
  take(nowMs: number): DeliveryRow | undefined {
    if (this.#sending !== null) return undefined;
    const due = this.all.find(({ dueMs }) => dueMs !== null && dueMs <= nowMs);
    this.#sending = due?.id ?? null;
    return due;
  }

  /** What became of what was taken. Called in a transaction. One that was dropped meanwhile stays so. */
  sent(id: string, receipt: Receipt, nowMs: number): void {
    this.#sending = null;
    const row = this.#rows.get(id);
    if (row?.status === "pending") this.#save(afterTry(row, receipt, nowMs));
  }

  #save(row: DeliveryRow): void {
    this.#rows.set(row.id, row);
    this.#store.save(row);
  }
}
