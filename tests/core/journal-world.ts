import fc from "fast-check";

/** One thing that a hook does to a graph. The numbers choose on what, how, and with which value. */
export interface Command {
  writer: number;
  target: Place;
  action: number;
  where: number;
  value: Choice;
}

/** A walk from part to part, from `shared` or from something that the writer made. */
interface Place {
  register: number;
  path: number[];
}

interface Choice {
  kind: "scalar" | "found" | "made" | "wrapped" | "cloned";
  place: Place;
  where: number;
  scalar: unknown;
}

/** An object that was found. One `isRaw` may be the object itself, in which nobody can look for another by a proxy of that. */
interface Found {
  object: object;
  isRaw: boolean;
}

/** What each writer still has of what it made. */
const REGISTERS = 3;

/** `shared` as the writers of a program see it, and what each of them has at hand. */
export class World {
  readonly #see: (writer: number) => object;
  readonly #made = new Map<number, object[]>();

  constructor(see: (writer: number) => object) {
    this.#see = see;
  }

  /** A writer's hooks are over: what they had at hand is gone. */
  forget(writer: number): void {
    this.#made.delete(writer);
  }

  do({ writer, target, action, where, value }: Command): void {
    const found = this.#find(writer, target);
    const actions = actionsOn(found.object);
    actions[action % actions.length]?.(found as never, this.#choose(writer, value), where);
  }

  #find(writer: number, { register, path }: Place): Found {
    const made = this.#made.get(writer)?.[register];
    let object = made ?? this.#see(writer);
    let isRaw = made !== undefined;
    for (const step of path) {
      isRaw ||= object instanceof Error || Object.isFrozen(object);
      const parts = partsOf(object);
      object = parts[step % parts.length] ?? object;
    }
    return { object, isRaw };
  }

  #choose(writer: number, { kind, place, where, scalar }: Choice): unknown {
    if (kind === "scalar") return scalar;
    if (kind === "made") return this.#keep(writer, where, make(where, scalar));
    const { object } = this.#find(writer, place);
    if (kind === "found") return object;
    return this.#keep(writer, where, kind === "cloned" ? structuredClone(object) : wrap(object, where));
  }

  #keep(writer: number, where: number, made: object): object {
    const all = this.#made.get(writer) ?? [];
    all[where % REGISTERS] = made;
    this.#made.set(writer, all);
    return made;
  }
}

function partsOf(object: object): object[] {
  return partsOfAny(object).filter((part): part is object => typeof part === "object" && part !== null);
}

function partsOfAny(object: object): unknown[] {
  if (object instanceof Map) return [...object].flat();
  if (object instanceof Set || Array.isArray(object)) return [...object];
  if (object instanceof Error) return [object.cause, ...Object.values(object)];
  return object instanceof Date || ArrayBuffer.isView(object) ? [] : Object.values(object);
}

function make(where: number, scalar: unknown): object {
  const makers = [
    () => ({}),
    () => Object.assign(Object.create(null), { a: scalar, b: [{}] }),
    () => [1, 2, 3, { x: scalar }],
    () => Object.assign(new Array(3), { 2: scalar }),
    () => new Map<unknown, unknown>([["a", []]]),
    () => new Set<unknown>([1, scalar]),
    () => new Date(where),
    () => Object.assign(new Error(`no ${where}`, { cause: { why: [] } }), { about: {} }),
    () => new Uint8Array([where]),
    () => Object.freeze({ list: [{ deep: scalar }] }),
  ];
  return (makers[where % makers.length] as () => object)();
}

function wrap(object: object, where: number): object {
  const wrappers = [
    () => ({ best: object }),
    () => [object, { again: object }],
    () => new Map([["k", object]]),
    () => new Map([[object, "k"]]),
    () => new Set([object]),
    () => Object.freeze({ best: object }),
    () => Object.assign(new Error("no"), { about: object }),
    () => (object instanceof Uint8Array ? new DataView(object.buffer) : [object]),
  ];
  return (wrappers[where % wrappers.length] as () => object)();
}

type Action<T> = (found: { object: T; isRaw: boolean }, value: unknown, where: number) => unknown;

function actionsOn(object: object): Action<never>[] {
  if (Array.isArray(object)) return ON_ARRAY;
  if (object instanceof Map) return ON_MAP;
  if (object instanceof Set) return ON_SET;
  if (object instanceof Error) return ON_ERROR;
  if (object instanceof Date) return [({ object }: { object: Date }, _, where) => object.setTime(where)];
  if (object instanceof Uint8Array) return [({ object }: { object: Uint8Array }, _, where) => object.fill(where)];
  return isPlain(object) && Object.isExtensible(object) ? ON_OBJECT : [() => {}];
}

function isPlain(object: object): boolean {
  return Object.prototype.toString.call(object) === "[object Object]";
}

const KEYS = ["a", "b", "c", "2", "1", "__proto__", "length"];

function keyAt(where: number): string {
  return KEYS[where % KEYS.length] as string;
}

function define(object: object, where: number, value: unknown, enumerable: boolean): void {
  Object.defineProperty(object, keyAt(where), { value, enumerable, writable: true, configurable: true });
}

function set(object: object, where: number, value: unknown): void {
  if (keyAt(where) === "__proto__") define(object, where, value, true);
  else Reflect.set(object, keyAt(where), value);
}

function remove(object: object, where: number): string | undefined {
  const keys = Object.keys(object);
  const key = keys[where % keys.length];
  if (key !== undefined) Reflect.deleteProperty(object, key);
  return key;
}

const ON_OBJECT: Action<Record<string, unknown>>[] = [
  ({ object }, value, where) => set(object, where, value),
  ({ object }, value, where) => set(object, where, value),
  ({ object }, value, where) => Object.assign(object, { a: value, z: where }),
  ({ object }, _, where) => remove(object, where),
  ({ object }, value, where) => {
    const key = remove(object, where);
    if (key !== undefined && key !== "__proto__") object[key] = value;
  },
  ({ object }, value, where) => define(object, where, value, where % 3 > 0),
];

const ON_ARRAY: Action<unknown[]>[] = [
  ({ object }, value, where) => Reflect.set(object, where % (object.length + 2), value),
  ({ object }, value, where) => object.push(value, where),
  ({ object }) => object.pop(),
  ({ object }) => object.shift(),
  ({ object }, value) => object.unshift(value),
  ({ object }, value, where) => object.splice(where % 4, where % 3, value, where),
  ({ object }, _, where) => object.splice(-(where % 4), where % 5),
  ({ object }) => object.sort((a, b) => compare(typeof a, typeof b)),
  ({ object }) => object.reverse(),
  ({ object }) => object.copyWithin(0, 1),
  ({ object }, value) => object.fill(value, 1, 3),
  ({ object }, _, where) => Object.assign(object, { length: where % (object.length + 3) }),
  ({ object }, _, where) => remove(object, where),
];

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** What a Map or a Set can be asked for. */
function keyFor(isRaw: boolean, value: unknown, where: number): unknown {
  return where % 2 === 0 || (isRaw && typeof value === "object") ? keyAt(where) : value;
}

function take(object: Map<unknown, unknown> | Set<unknown>, where: number): unknown {
  const keys = [...object.keys()];
  const key = keys[where % keys.length];
  object.delete(key);
  return key;
}

const ON_MAP: Action<Map<unknown, unknown>>[] = [
  ({ object, isRaw }, value, where) => object.set(keyFor(isRaw, value, where), value),
  ({ object, isRaw }, value, where) => object.set(keyFor(isRaw, value, where), where),
  ({ object }, _, where) => take(object, where),
  ({ object }, value, where) => object.set(take(object, where), value),
  ({ object }, _, where) => where % 4 === 0 && object.clear(),
];

const ON_SET: Action<Set<unknown>>[] = [
  ({ object, isRaw }, value, where) => object.add(keyFor(isRaw, value, where)),
  ({ object }, _, where) => take(object, where),
  ({ object }, _, where) => object.add(take(object, where)),
  ({ object }, _, where) => where % 4 === 0 && object.clear(),
];

const ON_ERROR: Action<Error>[] = [
  ({ object }, value, where) => Object.assign(object, { [`field${where % 2}`]: value }),
  ({ object }, value) => Object.assign(object, { cause: value }),
  ({ object }, _, where) => remove(object, where),
];

const places: fc.Arbitrary<Place> = fc.record({
  register: fc.nat(2 * REGISTERS),
  path: fc.array(fc.nat(7), { maxLength: 4, size: "max" }),
});

export const commands: fc.Arbitrary<Command> = fc.record({
  writer: fc.integer({ min: 1, max: 3 }),
  target: places,
  action: fc.nat(30),
  where: fc.nat(60),
  value: fc.record({
    kind: fc.constantFrom<Choice["kind"]>("scalar", "scalar", "found", "found", "made", "wrapped", "cloned"),
    place: places,
    where: fc.nat(60),
    scalar: fc.constantFrom<unknown>(0, -0, "text", null, undefined, Number.NaN, 10n, true),
  }),
});

export interface Item {
  n: number;
  tags: unknown[];
}

/** What the tests know of `shared`, and whatever else they put there. */
export interface Shared {
  items: Item[];
  best: Item;
  map: Map<unknown, unknown>;
  set: Set<unknown>;
  at: Date;
  failure: Error;
  bytes: Uint8Array;
  sparse: unknown[];
  [key: string]: unknown;
}

/** What a program begins with. Made anew each time, alike each time. */
export function begin(): Shared {
  const item: Item = { n: 1, tags: ["x", "y"] };
  return {
    items: [item, { n: 2, tags: [] }, { n: 3, tags: item.tags }],
    best: item,
    map: new Map<unknown, unknown>([
      ["k", { x: 1 }],
      [item, "item"],
    ]),
    set: new Set<unknown>([1, item]),
    at: new Date(0),
    failure: Object.assign(new Error("why"), { status: 500, about: item }),
    bytes: new Uint8Array([1, 2, 3]),
    sparse: Object.assign(new Array(3), { 0: 1, 2: 3 }),
  };
}
