import type { IndexEntry } from "./index-entry.ts";
import { HEARTBEAT_MS } from "./wakeup.ts";

/** The index of runs, as a run calls it. */
export interface IndexPort {
  /** Resolves with whether somebody looks at the list. An index of an earlier version does not say. */
  put(entry: IndexEntry): Promise<boolean | undefined>;
  remove(id: string, createdMs: number): Promise<void>;
}

/** The run, as its news are written. */
export interface Subject {
  createdMs: number;
  isFinished(): boolean;
  /** These two are asked after every commit. */
  status(): string;
  revision(): number;
  /** When it wants to be awake. */
  wakeMs(): number | null;
  /** All that the index is told: asked when something may have to be told. */
  entry(): IndexEntry;
}

/** A run that ends at once is told of once. */
const FIRST_MS = 250;
const STATUS_MS = 1_000;
/** Counts change with every report: they may be late. */
const COUNTS_MS = 10_000;
/** Unless somebody looks at the list. */
const WATCHED_MS = 1_000;
/** Limits let a run go on and wait many times a minute. */
const MOVING: readonly string[] = ["running", "waiting"];
/**
 * A wake-up that is so long past is told anew, since the index takes a run for lost that is overdue for much longer. Not sooner
 * where the next one is near too: a run that is busy has one every few seconds.
 */
const OVERDUE_MS = 60_000;
const RETRY_MS = [1_000, 2_000, 5_000, 15_000, 60_000] as const;
const LONGEST_WAIT_MS = 60_000;

/**
 * Tells the index of runs how a run stands. Nothing of this is stored: a run that is loaded anew tells it again, and the alarm
 * of one that has finished stays near until the index has heard of it.
 */
export class News {
  readonly #port: IndexPort;
  readonly #subject: Subject;
  readonly #onTold: () => void;
  #told: IndexEntry | undefined;
  /** Rises when what is being told may be out of date already. */
  #edition = 0;
  #toldMs = 0;
  /** Not before then is there anything to tell but another status. */
  #laterMs = 0;
  /** Resolves when the index has answered. */
  #telling: Promise<void> | undefined;
  #isWatched = false;
  #isClosed = false;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(port: IndexPort, subject: Subject, onTold: () => void) {
    this.#port = port;
    this.#subject = subject;
    this.#onTold = onTold;
  }

  /** Whether the run has finished, and the index knows all of that. */
  get isOver(): boolean {
    if (!this.#told || !this.#subject.isFinished()) return false;
    return this.#told.revision === this.#subject.revision() && this.#told.wakeMs === this.#subject.wakeMs();
  }

  /** When the object of a finished run must be awake to tell its end; nothing where that is told. */
  againMs(nowMs: number): number | null {
    if (this.isOver) return null;
    return this.#failures > 0 ? Math.max(this.#laterMs, nowMs + HEARTBEAT_MS) : nowMs + HEARTBEAT_MS;
  }

  /** The index is known to have heard of the run's end in an earlier life of the object. */
  wasToldOfEnd(): void {
    this.#told = this.#subject.entry();
  }

  /** What the index has may be out of date, however well it was told. */
  tellAnew(): void {
    this.#edition++;
    this.#told = undefined;
    this.#laterMs = 0;
  }

  /** Something may have changed. */
  look(nowMs: number): void {
    if (this.#telling || this.#isClosed || this.isOver) return;
    // The clock may have been set back.
    this.#toldMs = Math.min(this.#toldMs, nowMs);
    this.#laterMs = Math.min(this.#laterMs, nowMs + LONGEST_WAIT_MS);
    const isOther = this.#subject.isFinished() || this.#told?.status !== this.#subject.status();
    const isUrgent = isOther && this.#failures === 0 && !this.#isPassing(nowMs);
    const dueMs = isUrgent ? this.#statusMs : this.#laterMs;
    if (dueMs <= nowMs) this.#tell(nowMs);
    else if (isOther || this.#failures > 0) this.#lookAgain(dueMs - nowMs);
  }

  /** Nothing is told any more, once this has resolved. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#telling;
  }

  /** Whether the run goes on, or waits for a moment, as it did when it was told of: another will follow soon. */
  #isPassing(nowMs: number): boolean {
    const status = this.#subject.status();
    if (!this.#told || !MOVING.includes(this.#told.status) || !MOVING.includes(status)) return false;
    return status === "running" || (this.#subject.wakeMs() ?? 0) < nowMs + COUNTS_MS;
  }

  /** When another status is told. */
  get #statusMs(): number {
    if (this.#subject.isFinished()) return 0;
    return this.#told ? this.#toldMs + STATUS_MS : this.#subject.createdMs + FIRST_MS;
  }

  #tell(nowMs: number): void {
    const entry = this.#subject.entry();
    this.#laterMs = nowMs + this.#countsMs;
    if (this.#told && !this.#subject.isFinished() && !isNews(this.#told, entry, nowMs)) return;
    const edition = this.#edition;
    this.#telling = this.#port.put(entry).then(
      (isWatched) => this.#heard(edition === this.#edition ? entry : undefined, nowMs, isWatched === true),
      (error) => this.#failed(entry, error),
    );
  }

  #heard(entry: IndexEntry | undefined, atMs: number, isWatched: boolean): void {
    this.#told = entry;
    this.#isWatched = isWatched;
    this.#laterMs = Math.min(this.#laterMs, atMs + this.#countsMs);
    this.#toldMs = atMs;
    this.#failures = 0;
    this.#telling = undefined;
    if (!this.#isClosed) this.#onTold();
  }

  get #countsMs(): number {
    return this.#isWatched ? WATCHED_MS : COUNTS_MS;
  }

  #failed({ id }: IndexEntry, error: unknown): void {
    console.warn({ message: "The index was not told of a run yet", run: id, error: String(error) });
    const waitMs = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)] as number;
    this.#laterMs = Date.now() + waitMs;
    this.#telling = undefined;
    this.#lookAgain(waitMs);
  }

  #lookAgain(waitMs: number): void {
    if (this.#timer) clearTimeout(this.#timer);
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => this.look(Date.now()), waitMs);
  }
}

/** Whether the index is to hear of what has changed in a run since it was told last. */
function isNews(told: IndexEntry, entry: IndexEntry, nowMs: number): boolean {
  if (told.body !== entry.body || told.revision !== entry.revision) return true;
  const [toldMs, wakeMs] = [told.wakeMs ?? Infinity, entry.wakeMs ?? Infinity];
  const isPast = toldMs < (wakeMs > nowMs + OVERDUE_MS ? nowMs : nowMs - OVERDUE_MS);
  return isPast || wakeMs < toldMs - OVERDUE_MS;
}
