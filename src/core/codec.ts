import { DevalueError, parse, type StringifyOperations, stringify } from "devalue";
import { rawOf } from "./behind.ts";
import { describeType } from "./errors.ts";

// A stored value is text with one letter in front: `j` for plain JSON, which is read and written fast and can be handed to a
// client as it is, `d` for devalue's format, which keeps what JSON would lose.

/**
 * Writes a value as text: everything JSON can say, and Date, Map, Set, BigInt, typed arrays, URL, Error, `undefined`, cycles and
 * shared references. `name` is what the value is
 * called in errors.
 *
 * Throws a `TypeError` that gives the path of what cannot be kept: functions, promises, class instances, symbols.
 *
 * @example decode(encode({ at: new Date(0) }, "shared")); // { at: Date }
 */
export function encode(value: unknown, name: string | (() => string)): string {
  try {
    if (isPlainScalar(value) || isPlain(value, new Set())) return `j${JSON.stringify(rawOf(value))}`;
    return `d${flatten(value)}`;
  } catch (error) {
    if (error instanceof RangeError) throw new TypeError(tooLarge(error, name), { cause: error });
    throw error instanceof DevalueError ? new TypeError(refusal(error, name)) : error;
  }
}

export function decode(text: string): unknown {
  return text[0] === "j" ? JSON.parse(text.slice(1)) : unflatten(text.slice(1));
}

/** Deeper than a stack, or longer than a text can be. */
function tooLarge({ message }: RangeError, name: string | (() => string)): string {
  const what = typeof name === "string" ? name : name();
  return `Expected a value that can be stored, got one nested too deeply, or too long, as ${what} (${message})`;
}

/** What a value that devalue refused is, and where. */
export function refusal({ path, value }: DevalueError, name: string | (() => string)): string {
  const place = `${typeof name === "string" ? name : name()}${path}`.replace(/^\./, "");
  return `Expected a value that can be stored, got ${describe(value)} at ${place}`;
}

type Reducers = Record<string, (value: unknown) => unknown>;

/** Where a value holds proxies of a journal, what is behind them is written. */
const BEHIND_PROXIES: Partial<StringifyOperations> = {
  get: (object, key) => rawOf(object[key]),
  valuesOf: (set) => Array.from(set, rawOf),
  entriesOf: (map) => Array.from(map, ([key, value]) => [rawOf(key), rawOf(value)]),
};

/** A value in devalue's format. `also` are reducers that come before the codec's own. Throws devalue's own error. */
export function flatten(value: unknown, also: Reducers = {}): string {
  return stringify(rawOf(value), { ...also, Error: writeError, Keys: writeKeys }, { operations: BEHIND_PROXIES });
}

/** Reads what `flatten` wrote. `also` are the revivers of its reducers. */
export function unflatten(text: string, also: Record<string, (written: never) => unknown> = {}): unknown {
  return parse(text, { ...also, Error: readError, Keys: readKeys });
}

function describe(value: unknown): string {
  return typeof value === "function" && value.name ? `a function (${value.name})` : describeType(value);
}

/** Whether JSON keeps all of a value: a tree of plain objects and arrays in which no object occurs twice, nor is in `seen`. */
export function isPlain(given: unknown, seen: Pick<Set<object>, "has" | "add">): boolean {
  const value = rawOf(given);
  if (typeof value !== "object" || value === null) return isPlainScalar(value);
  if (seen.has(value)) return false;
  seen.add(value);
  return Array.isArray(value) ? isPlainArray(value, seen) : isPlainObject(value, seen);
}

function isPlainScalar(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  return typeof value === "string" || typeof value === "boolean" || value === null;
}

function isPlainArray(values: unknown[], seen: Pick<Set<object>, "has" | "add">): boolean {
  // A plain loop: it sees the holes of a sparse array as undefined, which JSON would turn into null.
  for (let index = 0; index < values.length; index++) if (!isPlain(values[index], seen)) return false;
  return Object.keys(values).length === values.length;
}

function isPlainObject(value: object, seen: Pick<Set<object>, "has" | "add">): boolean {
  if (Object.getPrototypeOf(value) !== Object.prototype || Object.getOwnPropertySymbols(value).length > 0) return false;
  for (const part of Object.values(value)) if (!isPlain(part, seen)) return false;
  return true;
}

function writeError(value: unknown) {
  return value instanceof Error ? fieldsOfError(value) : undefined;
}

/** What is stored of an error. */
export function fieldsOfError(error: Error): Record<string, unknown> {
  const { name, message, stack, cause } = error;
  return { ...error, name, message, stack, cause };
}

function readError(written: Record<string, unknown>): Error {
  return restoreError(begun(written, () => new Error()) as Error, written);
}

/** Gives an error the fields that are stored of one, and no others of its own. */
export function restoreError(error: Error, fields: object): Error {
  const { name, message, stack, cause, ...own } = fields as Record<string, unknown>;
  for (const key of Object.keys(error)) Reflect.deleteProperty(error, key);
  Object.assign(error, own);
  // Defined as Error itself defines them: not enumerable, so that they do not turn up among the error's own fields.
  for (const [key, value] of Object.entries({ name, message, stack, cause })) {
    if (value === undefined) Reflect.deleteProperty(error, key);
    else Object.defineProperty(error, key, { value, writable: true, configurable: true });
  }
  return error;
}

/** What was made of something written whose parts are still being read. */
const underWay = new WeakMap<object, object>();

/** devalue reads a part that leads back to the whole before the whole: both have to become the same object. */
function begun(written: object, make: () => object): object {
  const made = underWay.get(written) ?? make();
  underWay.set(written, made);
  return made;
}

// devalue refuses a key named `__proto__`, which a client's JSON may have. Entry by entry it is a key like any other.

function writeKeys(value: unknown) {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, "__proto__")) return undefined;
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) return undefined;
  return { isBare: prototype === null, entries: Object.entries(value) };
}

function readKeys(written: { isBare: boolean; entries?: [string, unknown][] }): object {
  const value = begun(written, () => Object.create(written.isBare ? null : Object.prototype));
  for (const [key, part] of written.entries ?? []) {
    Object.defineProperty(value, key, { value: part, writable: true, enumerable: true, configurable: true });
  }
  return value;
}

/** Whether no object that can be reached from `value` can be reached from `other`, nor twice from `value` itself. */
export function isApart(value: unknown, other: unknown): boolean {
  const taken = new Set<object>();
  reach(other, taken, () => {});
  let isTree = true;
  reach(value, taken, () => {
    isTree = false;
  });
  return isTree;
}

/** Whether `wanted` can be reached from `value`. */
export function contains(value: unknown, wanted: object): boolean {
  const seen = new Set<object>();
  reach(value, seen, () => {});
  return seen.has(wanted);
}

/** Adds every object under `root` to `seen`, and tells of each one that was there already. */
function reach(root: unknown, seen: Set<object>, onRepeat: () => void): void {
  const ahead = [root];
  while (ahead.length > 0) {
    const value = ahead.pop();
    if (typeof value !== "object" || value === null) continue;
    if (seen.has(value)) onRepeat();
    else {
      seen.add(value);
      for (const part of partsOf(value)) if (typeof part === "object") ahead.push(part);
    }
  }
}

function partsOf(value: object): Iterable<unknown> {
  if (Array.isArray(value) || value instanceof Set) return value;
  if (value instanceof Map) return [...value.keys(), ...value.values()];
  return ArrayBuffer.isView(value) ? [value.buffer] : Object.values(value);
}

/** JSON text as a stored value. */
export function asJson(text: string): string {
  return `j${text}`;
}

/** A stored value as JSON text, for clients. What JSON has no word for becomes what `JSON.stringify` users expect. */
export function toJson(text: string): string {
  if (text[0] === "j") return text.slice(1);
  return JSON.stringify(plainOf(decode(text), { above: [], budget: { left: MOST_JSON_VALUES } })) ?? "null";
}

/** Shared references are written out each time they occur, so a short text may be a long JSON: so many values are written. */
const MOST_JSON_VALUES = 1_000_000;

interface Writing {
  above: object[];
  budget: { left: number };
}

function plainOf(value: unknown, { above, budget }: Writing): unknown {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Date || value instanceof URL) return value.toJSON();
  if (above.includes(value)) return "[circular]";
  if (budget.left-- <= 0) return "[left out]";
  const write = (part: unknown) => plainOf(part, { above: [...above, value], budget });
  if (value instanceof Error) return { name: value.name, message: value.message };
  if (value instanceof Map || Array.isArray(value) || value instanceof Set)
    return Array.from<unknown, unknown>(value, write);
  if (ArrayBuffer.isView(value)) return [...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)];
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, write(part)]));
}
