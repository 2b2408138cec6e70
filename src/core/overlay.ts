/** The object with a value of its own for one field. Everything else is the object itself, and what is written goes to it. */
export function overlay<T extends object>(object: T, field: string, value: unknown): T {
  return new Proxy(object, {
    get: (target, key, view) => (key === field ? value : Reflect.get(target, key, view)),
    set: (target, key, written) => Reflect.set(target, key, written),
  });
}
