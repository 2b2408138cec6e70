/** The property by which a journal's proxies, and nothing else, give what is behind them. Nobody else has its name. */
export const BEHIND = Symbol("behind");

/** The object behind a journal's proxy; anything else is itself. */
export function rawOf<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  return ((value as { [BEHIND]?: T })[BEHIND] as T | undefined) ?? value;
}
