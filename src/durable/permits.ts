import type { Failure } from "../core/errors.ts";
import { type Answer, PERMIT_LEASE_MS, type Request } from "../core/limiter.ts";
import { Account, type Ask, type Exchange } from "./account.ts";
import type { ItemId } from "./items.ts";
import type { Ledger } from "./ledger.ts";
import type { Place } from "./limiter-store.ts";
import { objectNameOf } from "./limits.ts";
import type { Need } from "./needs.ts";
import type { PermitId, RunRow } from "./store.ts";

/** What became of permits that were given to executors. */
export interface PermitNews {
  begun: { permits: readonly PermitId[]; atMs: number }[];
  ended: { permits: readonly PermitId[]; atMs: number; ending: PermitEnding }[];
  /** Never given to an executor after all. */
  unused: PermitId[];
}

export type PermitEnding = Pick<Request["ended"][number], "as" | "tokens" | "retryAfterMs">;

/** An item that no permit can be had for. */
export interface Hopeless {
  item: ItemId;
  failure: Failure;
}

export interface PermitPorts {
  exchange(place: Place, request: Request): Promise<Answer | null>;
  /** Something can begin that could not before, or something never can. */
  onChange(hopeless: Hopeless[]): void;
}

/** How often a limiter hears of a run that has permits at least. */
const RENEWAL_MS = 10_000;
/** A limiter calls a run that waits; if nothing was heard for so long after it should have, or at all, the run asks. */
const OVERDUE_MS = 1_000;
const SILENCE_MS = 60_000;
const DEAF_MS = (PERMIT_LEASE_MS * 2) / 3;
/** For so long an item keeps a permit while it waits for another. */
const LONGEST_KEEP_MS = 200;

/**
 * The permits of one run: asks the limiters for as many as its items could use now, hands them to its items, and tells what
 * became of them. An item that needs several begins with all of them or not at all, and keeps none while it waits for long.
 */
export class Permits {
  readonly #row: RunRow;
  readonly #ports: PermitPorts;
  readonly #accounts = new Map<string, Account>();
  #requests = 0;
  readonly #ledger: Ledger;

  constructor(row: RunRow, ledger: Ledger, ports: PermitPorts) {
    this.#row = row;
    this.#ledger = ledger;
    this.#ports = ports;
  }

  /** Permits that were found with items in the rows. */
  restore(held: Iterable<{ permits: readonly PermitId[] }>): void {
    for (const { permits } of held) for (const { account, id } of permits) this.#accountAt(account).holds.add(id);
    for (const account of this.#accounts.values()) account.call(0);
  }

  /** Asks permits for what could begin if it had them. */
  ask(): void {
    const hopeless: Hopeless[] = [];
    for (const { isLimited, groups } of this.#ledger.pools()) {
      if (!isLimited) continue;
      for (const group of groups) {
        for (const item of group.ask()) {
          const { all, fault } = group.needs(item);
          if (fault === null) this.#askFor(item, all);
          else hopeless.push(hopelessOf(item, fault));
        }
      }
    }
    if (hopeless.length > 0) this.#ports.onChange(hopeless);
  }

  tell({ begun, ended, unused }: PermitNews): void {
    this.#refund(unused);
    for (const { permits, atMs } of begun) {
      for (const { account, id } of permits) this.#accountAt(account).begin(id, atMs);
    }
    for (const { permits, atMs, ending } of ended) {
      for (const { account, id } of permits) this.#accountAt(account).end(id, atMs, ending);
    }
  }

  /** The run has finished: nothing more is wanted, and what was not begun is given back. */
  finish(): void {
    for (const group of this.#ledger.groups()) this.#refund(group.unpermit());
    for (const account of this.#accounts.values()) for (const ask of account.withdraw()) this.#giveBack(ask);
  }

  /** A limiter tells of permits by itself. */
  hear(place: Place, answer: Answer): void {
    const account = this.#accountAt(objectNameOf(place.limit, place.key));
    // Meant for an earlier life of this run: what it was granted is found by asking.
    if (answer.life !== this.#row.lives || !account.isKnown) account.call(0);
    else account.accept(answer);
  }

  /** Renews leases, and asks again where a limiter that should have called did not. */
  renew(nowMs: number): void {
    for (const [name, account] of this.#accounts) {
      const silentMs = nowMs - account.heardMs;
      const isOverdue = account.isWaiting && nowMs > (account.retryMs ?? account.heardMs + SILENCE_MS) + OVERDUE_MS;
      if (isOverdue || (account.holds.size > 0 && silentMs > RENEWAL_MS)) account.call(0);
      // The limiter may soon take the run for dead: nothing is begun any more on what it has granted.
      if (silentMs > DEAF_MS) this.#revoke(account, [...account.holds]);
      if (account.isIdle) this.#accounts.delete(name);
    }
  }

  /** Whether refusals of these permits' vendor are to be taken for failures. */
  hasGivenUp(permits: readonly PermitId[]): boolean {
    return permits.some(({ account }) => this.#accounts.get(account)?.hasGivenUp);
  }

  /** Resolves with the next answer of a limiter, if one is on its way. */
  get nextAnswer(): Promise<void> | undefined {
    for (const account of this.#accounts.values()) if (account.answer) return account.answer;
    return undefined;
  }

  /** Whether an item waits for an answer, and not yet for a permit. */
  get isAsking(): boolean {
    for (const { isAsking } of this.#accounts.values()) if (isAsking) return true;
    return false;
  }

  /** When the first item that waits for a permit may have one, as far as is known. Nothing if none waits. */
  get resumes(): { atMs: number | null } | null {
    const waiting = [...this.#accounts.values()].filter(({ isWaiting }) => isWaiting);
    if (waiting.length === 0) return null;
    const times = waiting.flatMap(({ retryMs }) => retryMs ?? []);
    return { atMs: times.length === 0 ? null : Math.min(...times) };
  }

  /** When the run must look after permits at the latest. */
  get latestMs(): number | null {
    const waiting = [...this.#accounts.values()].filter(({ isWaiting }) => isWaiting);
    const times = waiting.map(({ retryMs, heardMs }) => (retryMs ?? heardMs + SILENCE_MS) + 2 * OVERDUE_MS);
    return times.length === 0 ? null : Math.min(...times);
  }

  #askFor(item: ItemId, needs: readonly Need[]): void {
    const places = needs.map(({ limit, key, tokens }) => ({ name: objectNameOf(limit, key), tokens }));
    // The same order for all, or two that need the same limits would each wait with what the other needs.
    places.sort((a, b) => (a.name < b.name ? -1 : 1));
    const accounts = places.map(({ name }) => name);
    const tokens = places.map((place) => place.tokens);
    this.#join({ item, accounts, tokens, permits: accounts.map(() => null) }, 0);
  }

  /** Puts an ask into the queue of its account at `at`. */
  #join(ask: Ask, at: number): void {
    this.#accountAt(ask.accounts[at] as string).add(ask, ask.tokens[at] as number);
  }

  /** What an account's limiter has answered. */
  #onExchange(account: Account, { granted, refused, tooLarge, surplus, gone }: Exchange): void {
    for (const id of surplus) account.refund(id);
    this.#revoke(account, gone);
    for (const [id, ask] of granted) this.#onGranted(account, id, ask);
    for (const ask of refused) this.#onRefused(account, ask);
    this.#ports.onChange(tooLarge ? [this.#onTooLarge(account, tooLarge)] : []);
  }

  #onGranted(account: Account, id: number, ask: Ask): void {
    ask.permits[ask.accounts.indexOf(account.name)] = id;
    // One that it has may have been lost since.
    ask.permits = ask.permits.map((held, at) => (this.#has(ask.accounts[at] as string, held) ? held : null));
    const missing = ask.permits.indexOf(null);
    if (missing >= 0) this.#join(ask, missing);
    else this.#permit(ask);
  }

  #has(account: string, id: number | null): boolean {
    return id !== null && this.#accountAt(account).holds.has(id);
  }

  #permit(ask: Ask): void {
    const permits = ask.accounts.map((account, at) => ({ account, id: ask.permits[at] as number }));
    if (!this.#ledger.group(ask.item.step)?.permit(ask.item, permits)) this.#refund(permits);
  }

  /**
   * An item has to wait for one permit while it has others. Those that come after it in order it gives back: who has them
   * already needs the earlier one too. Those that come before it may be kept a moment, for the missing one is often on its way.
   */
  #onRefused(account: Account, ask: Ask): void {
    this.#ledger.group(ask.item.step)?.wait(ask.item);
    const at = ask.accounts.indexOf(account.name);
    this.#giveBack(ask, at + 1);
    if (ask.permits.every((id) => id === null)) return;
    const keepMs = account.retryMs === null ? LONGEST_KEEP_MS : account.retryMs - Date.now();
    if (keepMs > LONGEST_KEEP_MS) this.#giveBack(ask);
    else setTimeout(() => account.has(ask) && this.#giveBack(ask), LONGEST_KEEP_MS);
  }

  /** Permits were lost: items that have one and were not begun ask anew. */
  #revoke({ name }: Account, ids: readonly number[]): void {
    if (ids.length === 0) return;
    const lost = new Set(ids);
    for (const group of this.#ledger.groups()) {
      this.#refund(group.unpermit((permits) => permits.some(({ account, id }) => account === name && lost.has(id))));
    }
  }

  #onTooLarge(account: Account, { ask, tokens, most }: NonNullable<Exchange["tooLarge"]>): Hopeless {
    this.#giveBack(ask);
    const message =
      `Expected item ${ask.item.index} to need at most the ${most} tokens that limit \`${account.name.replace(/\/$/, "")}\` ever has, ` +
      `got an estimate of ${tokens}: make the item smaller, or raise the limit's \`tokens\``;
    return hopelessOf(ask.item, message);
  }

  /** An item gives back what it has from place `from` on. */
  #giveBack(ask: Ask, from = 0): void {
    for (const [at, account] of ask.accounts.entries()) {
      const id = ask.permits[at];
      if (at < from || typeof id !== "number") continue;
      this.#accountAt(account).refund(id);
      ask.permits[at] = null;
    }
  }

  #refund(permits: readonly PermitId[]): void {
    for (const { account, id } of permits) this.#accountAt(account).refund(id);
  }

  #accountAt(name: string): Account {
    const known = this.#accounts.get(name);
    if (known) return known;
    const at = name.indexOf("/");
    const place = { limit: name.slice(0, at), key: name.slice(at + 1) };
    const account: Account = new Account(name, this.#row.id, this.#row.lives, {
      nextNumber: () => ++this.#requests,
      exchange: (request) => this.#ports.exchange(place, request),
      onExchange: (exchange) => this.#onExchange(account, exchange),
    });
    this.#accounts.set(name, account);
    return account;
  }
}

function hopelessOf(item: ItemId, message: string): Hopeless {
  return { item, failure: { name: "LimitError", message, retryable: false } };
}
