import fc from "fast-check";
import {
  advance,
  begun,
  type Ending,
  ended,
  fitting,
  granted,
  type Permit,
  refunded,
  UNUSED,
  type Usage,
} from "../../src/core/bucket.ts";
import { type Budget, type BudgetChange, budgetOf, type LimitOptions, transitMsOf } from "../../src/core/budget.ts";
import { eighths, Times } from "./vendor.ts";

type Deed =
  | "pass"
  | "hurry"
  | "retry"
  | "still"
  | "back"
  | "want"
  | "call"
  | "start"
  | "begun"
  | "end"
  | "refund"
  | "lose";

/** One thing that happens: to which of the calls it can happen to, and how much of it, in thousandths. */
export interface Move {
  deed: Deed;
  which: number;
  much: number;
}

export interface Call {
  /** In the order of the grants. */
  order: number;
  /** The budget in force when it was granted. */
  budget: Budget;
  permit: Permit;
  /** Tokens that it really uses. */
  used: number;
  startedMs: number | null;
  arrivedMs: number;
  isOpen: boolean;
  /** How many had been granted when the limit heard what it used. */
  settledAt: number;
}

export const SUCCESS: Ending = { as: "succeeded", ageMs: 0, tokens: null, retryAfterMs: null };

/** A limit, the calls it grants, and when they reach the vendor. */
export class Calls {
  readonly times = new Times();
  readonly calls: Call[] = [];
  budget: Budget;
  usage: Usage = UNUSED;
  readonly #mayExceed: boolean;

  /** `mayExceed`: calls may use more tokens than they were estimated to. */
  constructor(options: LimitOptions, mayExceed = false) {
    this.budget = budgetOf("llm", options);
    this.#mayExceed = mayExceed;
    this.see();
  }

  /** The usage as of what the clock shows. */
  see(): Usage {
    this.usage = advance(this.usage, this.budget, this.times.wallMs);
    return this.usage;
  }

  play(moves: readonly Move[]): this {
    for (const move of moves) this.#play(move);
    return this;
  }

  /** What was granted starts in the end, and everything arrives. */
  finish(): this {
    for (const call of this.waiting) this.#start(call, call.order * 97);
    return this;
  }

  change(change: BudgetChange): void {
    this.see();
    this.budget = { ...this.budget, ...change };
    this.see();
  }

  /** Asks for calls of these tokens, and takes those that fit. */
  want(tokens: readonly number[], share = 1000): Call[] {
    const usage = this.see();
    const { fit } = fitting(usage, this.budget, tokens);
    return tokens.slice(0, fit).map((reserved) => {
      this.usage = granted(this.usage, reserved);
      const most = this.#mayExceed ? 2 * reserved + 5 : reserved;
      const call: Call = {
        order: this.calls.length,
        budget: this.budget,
        permit: { tokens: reserved, countedMs: null },
        used: Math.floor((most * share) / 1000),
        startedMs: null,
        arrivedMs: Number.POSITIVE_INFINITY,
        isOpen: true,
        settledAt: Number.POSITIVE_INFINITY,
      };
      this.calls.push(call);
      return call;
    });
  }

  get open(): Call[] {
    return this.calls.filter(({ isOpen }) => isOpen);
  }

  get waiting(): Call[] {
    return this.open.filter(({ startedMs }) => startedMs === null);
  }

  get arrived(): Call[] {
    return this.calls.filter(({ startedMs }) => startedMs !== null);
  }

  end(call: Call, ending: Partial<Ending> = {}): void {
    this.usage = ended(this.see(), this.budget, call.permit, { ...SUCCESS, ...ending });
    call.isOpen = false;
    if (ending.as !== "lost") call.settledAt = this.calls.length;
  }

  #start(call: Call, much: number): void {
    call.startedMs = this.times.trueMs;
    call.arrivedMs = call.startedMs + eighths((transitMsOf(this.budget) * (much % 1001)) / 1000);
  }

  #play({ deed, which, much }: Move): void {
    const { times, budget } = this;
    const share = much / 1000;
    const pick = (calls: Call[]) => calls[which % calls.length];
    const underWay = this.open.filter(({ startedMs }) => startedMs !== null);
    switch (deed) {
      case "pass":
        times.pass(share * budget.periodMs * 0.5);
        return;
      case "hurry":
        times.pass(share * 3);
        return;
      case "retry": {
        const { retryMs } = fitting(this.see(), budget, [which % 8]);
        times.passUntil((retryMs ?? 0) - this.usage.skewMs);
        return;
      }
      case "still":
        times.standStill(share * budget.periodMs);
        return;
      case "back":
        times.turnBack(share * budget.periodMs);
        return;
      case "want":
        this.want(Array(1 + (which % 4)).fill(which % 8), much);
        return;
      case "call":
        for (const call of this.want(Array(1 + (which % 4)).fill(which % 8), much)) this.#start(call, much);
        return;
      case "start": {
        const call = pick(this.waiting);
        if (call) this.#start(call, much);
        return;
      }
      case "begun": {
        const call = pick(underWay);
        if (!call) return;
        const ageMs = times.trueMs - (call.startedMs as number);
        const told = begun(this.see(), budget, call.permit, much % 2 ? ageMs : Math.floor(ageMs));
        this.usage = told.usage;
        call.permit = told.permit;
        return;
      }
      case "end": {
        const call = pick(underWay.filter(({ arrivedMs }) => arrivedMs <= times.trueMs));
        if (call) this.end(call, { ageMs: share * (times.trueMs - call.arrivedMs), tokens: call.used });
        return;
      }
      case "refund": {
        const call = pick(this.waiting);
        if (!call) return;
        this.usage = refunded(this.see(), call.permit);
        call.isOpen = false;
        return;
      }
      case "lose": {
        const call = pick(this.open);
        if (call) this.end(call, { as: "lost" });
        return;
      }
    }
  }
}

const deeds: Deed[] = ["pass", "hurry", "hurry", "retry", "retry", "retry", "still", "back", "want", "want", "call"];
deeds.push("call", "call", "start", "start", "start", "begun", "begun", "end", "end", "end", "end", "refund", "lose");
const move: fc.Arbitrary<Move> = fc.record({
  deed: fc.constantFrom(...deeds),
  which: fc.nat(15),
  much: fc.nat(1000),
});
/** What may happen, in any order. */
export const moves = fc.array(move, { maxLength: 120, size: "max" });
