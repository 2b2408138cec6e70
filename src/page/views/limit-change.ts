import type { LimitChange, LimitKey } from "../../http/api.ts";
import type { Fault } from "../parts/faults.ts";

// How a limit's form is read, and which of its keys are shown first.

export const BOUNDS = ["requests", "tokens", "periodMs", "concurrency"] as const;
export type Bound = (typeof BOUNDS)[number];
/** What stands in the form's fields; empty leaves a bound as it is. */
export type BoundTexts = { [bound in Bound]: string };

const UNIT_MS: { [unit: string]: number } = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The change that a form asks for, and what is wrong in it. */
export function readChange(texts: BoundTexts): { change: LimitChange; faults: Fault[] } {
  const change: LimitChange = {};
  const faults: Fault[] = [];
  for (const bound of BOUNDS) {
    const text = texts[bound].trim();
    if (text === "") continue;
    const value = bound === "periodMs" ? periodMsOf(text) : countOf(text);
    if (value !== null) change[bound] = value;
    else faults.push({ pointer: `/${bound}`, detail: bound === "periodMs" ? PERIOD : COUNT });
  }
  return { change, faults };
}

const PERIOD = "Expected seconds, or such as 500ms, 90s, 1m, 2h";
const COUNT = "Expected a whole number of at least 1";

/** `60`, which are seconds, or `500ms`, `90s`, `1m`, `2h`, `1d`; null for anything else. */
export function periodMsOf(text: string): number | null {
  const [, amount, unit = "s"] = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)?$/.exec(text.trim()) ?? [];
  const ms = Math.round(Number(amount) * (UNIT_MS[unit] as number));
  return ms >= 1 ? ms : null;
}

/** A period as the form takes it: `1m`. */
export function periodText(ms: number): string {
  const [unit, each] = Object.entries(UNIT_MS).findLast(([, each]) => ms % each === 0) as [string, number];
  return `${ms / each}${unit}`;
}

function countOf(text: string): number | null {
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  return Number.isSafeInteger(value) && value >= 1 ? value : null;
}

/** The keys whose name has a text in it, the busiest first. */
export function busiest(keys: readonly LimitKey[], text: string): LimitKey[] {
  const needle = text.trim().toLowerCase();
  const found = keys.filter(({ key }) => key.toLowerCase().includes(needle));
  return found.sort((a, b) => loadOf(b) - loadOf(a) || b.waiting - a.waiting || b.inFlight - a.inFlight);
}

/** The most that any of its bounds is used, as a share. */
function loadOf({ requests, tokens, concurrency, used, inFlight }: LimitKey): number {
  const share = (value: number, bound: number | null) => (bound === null ? 0 : value / bound);
  return Math.max(share(used.requests, requests), share(used.tokens, tokens), share(inFlight, concurrency));
}
