import type { HeldItem, Home, SlotRow, Store } from "./store.ts";

/** How long a claim is believed without a report. */
export const LEASE_MS = 10_000;
/** How often an executor reports at least. */
export const RENEWAL_MS = LEASE_MS / 3;
/** What a lease is worth after the run's object was loaded anew: a living executor reports within a renewal. */
export const GRACE_MS = 4_000;

const LONGEST_PATIENCE_MS = 5 * 60 * 1000;

export interface Slot extends SlotRow {
  /** Until when its claim is believed. Kept in memory only: renewing it must not cost a row. */
  leaseMs: number;
  /** How often its latest wake was sent again. In memory too: a run that was away sends every wake anew. */
  resent: number;
  /** Its executor will report soon: it was told that there is more to do, or waits for its answer. In memory too. */
  isNudged: boolean;
}

/** A call to come and pull. */
export interface Wake {
  slot: number;
  wake: number;
  home: Home;
}

/** An executor's answer to a wake. */
export interface Entry {
  slot: number;
  wake: number;
  /** Which delivery of the wake this is. */
  delivery: number;
  /** A name the executor gave itself for this entry. */
  entry: string;
}

/** `again` is a repeated call of an entry that was accepted; `over` takes the slot from an earlier entry that must be dead. */
export type Acceptance = "first" | "again" | "over" | "refused";

/** The slots of a run: who was called, who is there, and until when that is believed. */
export class Slots {
  readonly #store: Store;
  readonly #slots = new Map<number, Slot>();
  /** Fences are numbered from here on. */
  #firstFence: number;

  /** `createdMs` is the run's: fences are later numbers, so that none is one of an earlier run with the same id. */
  constructor(store: Store, createdMs: number) {
    this.#store = store;
    this.#firstFence = createdMs;
  }

  restore(nowMs: number): void {
    for (const row of this.#store.slots()) {
      this.#slots.set(row.id, { ...row, leaseMs: nowMs + GRACE_MS, resent: 0, isNudged: false });
      // The run was started by a version that numbered them from 1.
      if (row.fence < this.#firstFence) this.#firstFence = 0;
    }
  }

  /** Whether a fence is of an earlier run with the same id, which was deleted while its executors went on. */
  isForeign(fence: number): boolean {
    return fence < this.#firstFence;
  }

  get(id: number): Slot | undefined {
    return this.#slots.get(id);
  }

  all(): Iterable<Slot> {
    return this.#slots.values();
  }

  find(isMeant: (slot: Slot) => boolean): Slot[] {
    return [...this.#slots.values()].filter(isMeant);
  }

  sum(measure: (slot: Slot) => number): number {
    let sum = 0;
    for (const slot of this.#slots.values()) sum += measure(slot);
    return sum;
  }

  /** Writes all slots as they are. What they hold is not written each time that it becomes less. */
  saveAll(): void {
    for (const slot of this.#slots.values()) this.#store.saveSlot(slot);
  }

  save(slot: Slot, change: Partial<Slot>): void {
    this.#store.saveSlot(Object.assign(slot, change));
  }

  /** Calls an idle slot of this home, or a new one. */
  wake(home: Home, nowMs: number): Wake {
    const slot = this.#idle(home);
    this.save(slot, { state: "woken", wake: slot.wake + 1, delivery: 0, wokenMs: nowMs, resent: 0 });
    return { slot: slot.id, wake: slot.wake, home };
  }

  /**
   * Wakes that were sent and not answered: they may have been lost. Each time the run waits twice as long for an answer, since
   * a queue may also be slow; a run that was away (`isNew`) does not wait at all.
   */
  wakeAgain(nowMs: number, isNew: boolean): Wake[] {
    const isSilent = ({ state, wokenMs, resent }: Slot) =>
      state === "woken" && (isNew || wokenMs + patienceMs(resent) <= nowMs);
    const silent = this.find(isSilent);
    for (const slot of silent) this.save(slot, { wokenMs: nowMs, resent: slot.resent + 1 });
    return silent.map(({ id, wake, home }) => ({ slot: id, wake, home }));
  }

  /** Slots of a home that were called and have not answered yet. */
  expectedAt(home: Home): number {
    return this.sum((slot) => (slot.home === home && slot.state === "woken" ? 1 : 0));
  }

  /** Whether an executor may enter: only in answer to the latest wake, and not where another one lives. */
  judge({ slot: id, wake, delivery, entry }: Entry): Acceptance {
    const slot = this.#slots.get(id);
    if (!slot || slot.wake !== wake || slot.state === "idle") return "refused";
    if (slot.state === "woken") return "first";
    if (slot.entry === entry) return "again";
    return slot.home === "object" || delivery > slot.delivery ? "over" : "refused";
  }

  admit(slot: Slot, { delivery, entry }: Entry, nowMs: number): void {
    this.save(slot, { state: "live", delivery, entry, fence: slot.fence + 1, given: 0, isNudged: false });
    this.renew(slot, nowMs);
  }

  isCurrent(id: number, fence: number): boolean {
    const slot = this.#slots.get(id);
    return slot?.state === "live" && slot.fence === fence;
  }

  renew(slot: Slot, nowMs: number): void {
    slot.leaseMs = nowMs + LEASE_MS;
  }

  /** Believes every claim a while longer: the run's object was late itself, and reports may be waiting at its door. */
  extendLeases(nowMs: number): void {
    for (const slot of this.#slots.values()) slot.leaseMs = Math.max(slot.leaseMs, nowMs + GRACE_MS);
  }

  give(slot: Slot, items: HeldItem[]): void {
    for (const item of items) slot.held.add(item);
    this.save(slot, { given: slot.given + items.length, claimed: slot.claimed + items.length });
  }

  /** What the executor was told of it has got. */
  answered(id: number): void {
    const slot = this.#slots.get(id);
    if (slot) slot.isNudged = false;
  }

  forgetNudges(): void {
    for (const slot of this.#slots.values()) slot.isNudged = false;
  }

  leave(id: number): void {
    const slot = this.#slots.get(id);
    if (slot && slot.state !== "idle") this.save(slot, { state: "idle" });
  }

  #idle(home: Home): Slot {
    for (const slot of this.#slots.values()) if (slot.home === home && slot.state === "idle") return slot;
    const fresh = {
      wake: 0,
      delivery: 0,
      entry: "",
      fence: this.#firstFence,
      given: 0,
      wokenMs: 0,
      leaseMs: 0,
      resent: 0,
      isNudged: false,
      claimed: 0,
    };
    const slot: Slot = { ...fresh, id: this.#slots.size, home, state: "idle", held: new Set() };
    this.#slots.set(slot.id, slot);
    return slot;
  }
}

function patienceMs(resent: number): number {
  return Math.min(LEASE_MS * 2 ** resent, LONGEST_PATIENCE_MS);
}
