import { BEHIND, rawOf } from "./behind.ts";
import type { Lens } from "./recorder.ts";

type Collection = Map<unknown, unknown> | Set<unknown>;

/** A collection that a method is called on, as a writer sees it. */
interface Seen<C> {
  raw: C;
  proxy: object;
  lens: Lens;
}

type Methods<C> = Record<PropertyKey, (seen: Seen<C>, ...given: never[]) => unknown>;

/** The proxies of Maps and Sets. Their methods only work on the collection itself, so each is given it, and raw parts. */
export class CollectionLens implements ProxyHandler<Collection> {
  readonly #lens: Lens;

  constructor(lens: Lens) {
    this.#lens = lens;
  }

  get(raw: Collection, key: PropertyKey, proxy: object): unknown {
    if (key === BEHIND) return raw;
    const value = Reflect.get(raw, key, raw);
    if (typeof value !== "function" || key === "constructor") return value;
    const methods: Methods<never> = raw instanceof Map ? MAP : SET;
    const method = Object.hasOwn(methods, key) ? methods[key] : undefined;
    const seen = { raw, proxy, lens: this.#lens };
    if (method) return (...given: never[]) => method(seen as never, ...given);
    return (...given: unknown[]) => callUnknown(seen, value, READ_ONLY.has(key), given);
  }
}

const BOTH: Methods<Collection> = {
  has: (seen, part) => seen.raw.has(partIn(seen, part)),

  delete(seen, given) {
    const { raw, lens } = seen;
    const part = partIn(seen, given);
    const wasThere = raw.delete(part);
    if (wasThere) lens.recorder.wrote(raw, part, "deleted", lens.writer);
    return wasThere;
  },

  clear({ raw, lens }) {
    if (raw.size > 0) lens.recorder.rewrote(raw, lens.writer);
    raw.clear();
  },

  forEach({ raw, proxy, lens }, visit: (...given: unknown[]) => void, self: unknown) {
    raw.forEach((value, key) => {
      visit.call(self, lens.wrap(value), lens.wrap(key), proxy);
    });
  },
};

const MAP: Methods<Map<unknown, unknown>> = {
  ...(BOTH as Methods<Map<unknown, unknown>>),
  get: (seen, key) => seen.lens.wrap(seen.raw.get(partIn(seen, key))),

  set(seen, given: unknown, value: unknown) {
    const { raw, proxy, lens } = seen;
    const [taken, written] = [lens.takeIn(given, raw), lens.takeIn(value, raw)];
    const known = partIn(seen, given);
    const wasThere = raw.has(known);
    if (wasThere && Object.is(rawOf(raw.get(known)), rawOf(value))) return proxy;
    const key = wasThere ? known : taken;
    raw.set(key, written);
    lens.recorder.wrote(raw, key, wasThere ? "set" : "inserted", lens.writer);
    return proxy;
  },

  keys: ({ raw, lens }) => wrapped(raw.keys(), lens),
  values: ({ raw, lens }) => wrapped(raw.values(), lens),
  entries: ({ raw, lens }) => wrappedPairs(raw.entries(), lens),
  [Symbol.iterator]: ({ raw, lens }) => wrappedPairs(raw.entries(), lens),
};

const SET: Methods<Set<unknown>> = {
  ...(BOTH as Methods<Set<unknown>>),

  add(seen, given: unknown) {
    const { raw, proxy, lens } = seen;
    const member = lens.takeIn(given, raw);
    if (raw.has(partIn(seen, given))) return proxy;
    raw.add(member);
    lens.recorder.wrote(raw, member, "inserted", lens.writer);
    return proxy;
  },

  keys: ({ raw, lens }) => wrapped(raw.values(), lens),
  values: ({ raw, lens }) => wrapped(raw.values(), lens),
  entries: ({ raw, lens }) => wrappedPairs(raw.entries(), lens),
  [Symbol.iterator]: ({ raw, lens }) => wrapped(raw.values(), lens),
};

/** What a collection has for a part. In one that a writer holds, it may be any proxy of it. */
function partIn({ raw, lens }: Seen<Collection>, part: unknown): unknown {
  if (raw.has(part)) return part;
  const bare = rawOf(part);
  const isAsItIs = typeof bare !== "object" || bare === null || raw.has(bare) || !lens.recorder.mayHoldProxies(raw);
  return isAsItIs ? bare : ([...raw.keys()].find((key) => rawOf(key) === bare) ?? bare);
}

function* wrapped(parts: Iterable<unknown>, lens: Lens): Generator<unknown> {
  for (const part of parts) yield lens.wrap(part);
}

function* wrappedPairs(pairs: Iterable<[unknown, unknown]>, lens: Lens): Generator<[unknown, unknown]> {
  for (const [key, value] of pairs) yield [lens.wrap(key), lens.wrap(value)];
}

/** Set's methods that make something new. */
const READ_ONLY = new Set<PropertyKey>([
  "union",
  "intersection",
  "difference",
  "symmetricDifference",
  "isSubsetOf",
  "isSupersetOf",
  "isDisjointFrom",
]);

function callUnknown({ raw, lens }: Seen<Collection>, method: unknown, isReadOnly: boolean, given: unknown[]): unknown {
  const call = method as () => unknown;
  if (isReadOnly) return lens.wrap(Reflect.apply(call, rawMembers(raw), given.map(rawMembers)));
  lens.recorder.rewrote(raw, lens.writer);
  return lens.wrap(
    Reflect.apply(
      call,
      raw,
      given.map((part) => lens.takeIn(part, raw)),
    ),
  );
}

/** A Set to compare with, which may hold proxies. */
function rawMembers(other: unknown): unknown {
  const raw = rawOf(other);
  return raw instanceof Set ? new Set(Array.from(raw, rawOf)) : raw;
}
