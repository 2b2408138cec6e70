import fc from "fast-check";

/** One thing that a hook does to a graph. The numbers choose on what, and with which value. */
export interface Command {
  writer: number;
  verb: Verb;
  register: number;
  other: number;
  where: number;
  scalar: unknown;
}

/** Where a writer's hooks keep what they read and made. */
interface Register {
  value: object;
  /** Whether the value may be the object itself, which nobody can look for in a Map or a Set by a proxy of it. */
  isRaw: boolean;
}

const REGISTERS = 2;

/** `shared` as the writers of a program see it, and what each of them has at hand. */
export class World {
  readonly #see: (writer: number) => object;
  readonly #clone: (value: unknown) => unknown;
  readonly #registers = new Map<number, Register[]>();

  constructor(see: (writer: number) => object, clone: (value: unknown) => unknown) {
    this.#see = see;
    this.#clone = clone;
  }

  /** A writer's hooks are over: what they had at hand is gone. */
  forget(writer: number): void {
    this.#registers.delete(writer);
  }

  do(command: Command): void {
    const register = this.#register(command.writer, command.register);
    const given = this.#given(command);
    if (command.verb in READING) this.#keep(command, READING[command.verb as Reading](register, command, this.#clone));
    else if (command.verb === "look") this.#keep(command, { value: this.#see(command.writer), isRaw: false });
    else WRITING[command.verb as Writing](register, given, command);
  }

  #register(writer: number, index: number): Register {
    return this.#registers.get(writer)?.[index % REGISTERS] ?? { value: this.#see(writer), isRaw: false };
  }

  #keep({ writer, register }: Command, kept: Register): void {
    const registers = this.#registers.get(writer) ?? [];
    registers[register % REGISTERS] = kept;
    this.#registers.set(writer, registers);
  }

  /** What is written: one time in three something scalar, else an object that the writer has at hand. */
  #given({ writer, other, scalar }: Command): unknown {
    return other % 3 === 0 ? scalar : this.#register(writer, Math.floor(other / 3)).value;
  }
}

type Reading = "enter" | "make" | "wrap" | "clone";
type Writing = "set" | "delete" | "reinsert" | "define" | "reorder" | "resize" | "insert" | "drop" | "clear" | "mutate";
export type Verb = "look" | Reading | Writing;

const READING: Record<Reading, (from: Register, command: Command, clone: (value: unknown) => unknown) => Register> = {
  enter({ value, isRaw }, { where }) {
    const parts = partsOf(value);
    return parts.length === 0 ? { value, isRaw } : { value: parts[where % parts.length] as object, isRaw };
  },
  make: (_, { where, scalar }) => ({ value: make(where, scalar), isRaw: true }),
  wrap: ({ value }, { where }) => ({ value: wrap(value, where), isRaw: true }),
  clone: ({ value }, _, clone) => ({ value: clone(value) as object, isRaw: true }),
};

function partsOf(value: object): object[] {
  let parts: unknown[] = [];
  if (value instanceof Map) parts = [...value].flat();
  else if (value instanceof Set || Array.isArray(value)) parts = [...value];
  else if (value instanceof Error) parts = [value.cause, ...Object.values(value)];
  else if (!(value instanceof Date || ArrayBuffer.isView(value))) parts = Object.values(value);
  return parts.filter((part): part is object => typeof part === "object" && part !== null);
}

function make(where: number, scalar: unknown): object {
  const makers = [
    () => ({}),
    () => ({ a: scalar, b: [{}], __proto__: null }),
    () => [1, 2, 3, { x: scalar }],
    () => Object.assign(new Array(3), { 2: scalar }),
    () => new Map<unknown, unknown>([["a", []]]),
    () => new Set<unknown>([1, scalar]),
    () => new Date(where),
    () => new Error(`no ${where}`, { cause: { why: [] } }),
    () => new Uint8Array([where]),
    () => Object.freeze({ list: [{ deep: scalar }] }),
  ];
  return (makers[where % makers.length] as () => object)();
}

function wrap(value: object, where: number): object {
  const makers = [
    () => ({ best: value }),
    () => [value, { again: value }],
    () => new Map([["k", value]]),
    () => new Set([value]),
    () => Object.freeze({ best: value }),
    () => Object.assign(new Error("no"), { about: value }),
  ];
  return (makers[where % makers.length] as () => object)();
}

const KEYS = ["a", "b", "c", "2", "1", "__proto__", "length"];

const WRITING: Record<Writing, (to: Register, given: unknown, command: Command) => void> = {
  set: (to, given, { where }) => put(to, where, given),
  delete: ({ value }, _, { where }) => take(value, where),
  reinsert(to, given, { where }) {
    take(to.value, where);
    put(to, where, given);
  },
  define({ value }, given, { where }) {
    if (!isPlain(value) || !Object.isExtensible(value)) return;
    const shape = { writable: true, enumerable: where % 5 > 0, configurable: true };
    Object.defineProperty(value, keyOf(where), { value: given, ...shape });
  },
  reorder({ value }, _, { where }) {
    if (!Array.isArray(value)) return;
    if (where % 3 === 0) value.sort((a, b) => compare(String(typeof a), String(typeof b)));
    else if (where % 3 === 1) value.reverse();
    else value.copyWithin(0, 1);
  },
  resize({ value }, _, { where }) {
    if (Array.isArray(value)) value.length = where % 6;
  },
  insert({ value }, given, { where }) {
    if (!Array.isArray(value)) return;
    if (where % 4 === 0) value.unshift(given);
    else if (where % 4 === 1) value.splice(where % 3, where % 2, given, where);
    else value.push(given, where);
  },
  drop({ value }, _, { where }) {
    if (!Array.isArray(value)) return;
    if (where % 3 === 0) value.shift();
    else if (where % 3 === 1) value.pop();
    else value.splice(where % 4, 2);
  },
  clear({ value }) {
    if (value instanceof Map || value instanceof Set) value.clear();
  },
  mutate({ value }, given, { where }) {
    if (value instanceof Date) value.setTime(where);
    else if (value instanceof Uint8Array) value[0] = where;
    else if (value instanceof Error) Object.assign(value, { [`field${where % 2}`]: given });
  },
};

function put({ value, isRaw }: Register, where: number, given: unknown): void {
  const part = isRaw && typeof given === "object" ? where : given;
  if (value instanceof Map) value.set(where % 2 === 0 ? keyOf(where) : part, given);
  else if (value instanceof Set) value.add(part);
  else if (Array.isArray(value)) value[where % 8] = given;
  else if (isPlain(value) && Object.isExtensible(value) && keyOf(where) !== "__proto__")
    Reflect.set(value, keyOf(where), given);
}

function take(value: object, where: number): void {
  const keys = value instanceof Map || value instanceof Set ? [...value.keys()] : Object.keys(value);
  const key = keys[where % keys.length];
  if (value instanceof Map || value instanceof Set) value.delete(key);
  else if (Array.isArray(value) || isPlain(value)) Reflect.deleteProperty(value, key as string);
}

function keyOf(where: number): string {
  return KEYS[where % KEYS.length] as string;
}

function isPlain(value: object): value is Record<string, unknown> {
  return Object.prototype.toString.call(value) === "[object Object]";
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

const VERBS = ["look", ...Object.keys(READING), ...Object.keys(WRITING)] as Verb[];

/** What there has to be much of, so that a program gets anywhere. */
const FREQUENT: Verb[] = [
  "set",
  "set",
  "set",
  "set",
  "enter",
  "enter",
  "enter",
  "enter",
  "enter",
  "wrap",
  "make",
  "mutate",
];

export const commands: fc.Arbitrary<Command> = fc.record({
  writer: fc.integer({ min: 1, max: 3 }),
  verb: fc.constantFrom(...VERBS, ...FREQUENT),
  register: fc.nat(REGISTERS - 1),
  other: fc.nat(3 * REGISTERS - 1),
  where: fc.nat(60),
  scalar: fc.constantFrom<unknown>(0, -0, "text", null, undefined, Number.NaN, 10n, true),
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
