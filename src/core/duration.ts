const UNIT_MS: { readonly [unit: string]: number } = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * A duration as options are told it, in milliseconds: a number with `ms`, `s`, `m`, `h` or `d`. Throws for anything else, naming
 * the option.
 *
 * @example durationMs("limit `llm`", "per", "1m", 31); // 60000
 */
export function durationMs(owner: string, key: string, value: unknown, longestDays: number): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(String(value)) ?? [];
  const ms = Number(amount) * (UNIT_MS[unit ?? ""] ?? Number.NaN);
  if (typeof value === "string" && ms >= 1 && ms <= longestDays * (UNIT_MS.d as number)) return ms;
  throw new RangeError(
    `Expected \`${key}\` of ${owner} to be a duration from "1ms" to "${longestDays}d", such as "1s", "1m" or "1h", got \`${String(value)}\``,
  );
}
