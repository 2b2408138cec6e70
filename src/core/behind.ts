const behind = new WeakMap<object, object>();

/** The object behind a journal's proxy; anything else is itself. */
export function rawOf<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  return (behind.get(value) as T | undefined) ?? value;
}

/** Remembers what is behind a proxy. */
export function putBehind<T extends object>(proxy: T, raw: object): T {
  behind.set(proxy, raw);
  return proxy;
}
