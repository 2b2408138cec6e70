import { encode, fieldsOfError, restoreError } from "./codec.ts";
import { isNodeBuffer, isPlainObject } from "./parts.ts";

const HOLES = Symbol("an array with holes");

/** What is stored of an object itself, as a flat list: it has changed if the list has. Undefined where it never changes. */
export function contentOf(object: object): unknown[] | undefined {
  if (Array.isArray(object)) return elementsOf(object);
  if (object instanceof Map) return [...object].flat();
  if (object instanceof Set) return [...object];
  if (object instanceof Error) return Object.entries(fieldsOfError(object)).flat();
  if (isPlainObject(object)) return [Object.getPrototypeOf(object), ...Object.entries(object).flat()];
  const text = textOf(object);
  return text === undefined ? undefined : [text];
}

export function isSame(before: unknown[], now: unknown[]): boolean {
  return before.length === now.length && before.every((part, index) => Object.is(part, now[index]));
}

function elementsOf(array: unknown[]): unknown[] {
  for (let index = 0; index < array.length; index++) {
    if (!(index in array)) return [HOLES, array.length, ...Object.entries(array).flat()];
  }
  return array.slice();
}

/** Other views are not looked at: their bytes are their buffer's. */
function textOf(object: object): unknown {
  if (object instanceof Date) return object.getTime();
  if (object instanceof ArrayBuffer || isNodeBuffer(object)) return encode(object, "bytes");
  return isText(object) ? object.toString() : undefined;
}

function isText(object: object): boolean {
  return object instanceof URL || isSearchParams(object);
}

/** A URLSearchParams, which not every runtime of the core has. */
interface SearchParams extends Iterable<[string, string]> {
  delete(name: string): void;
  append(name: string, value: string): void;
}

function isSearchParams(object: object): object is SearchParams {
  return Object.prototype.toString.call(object) === "[object URLSearchParams]";
}

/** Stands for the whole content of an object in an entry, where the object itself would be taken for a reference to it. */
export function standInFor(object: object): unknown {
  if (Array.isArray(object)) return object.slice();
  if (object instanceof Map || isSearchParams(object)) return [...object].flat();
  if (object instanceof Set) return [...object];
  if (object instanceof Error) return fieldsOfError(object);
  if (object instanceof Date) return object.getTime();
  if (object instanceof ArrayBuffer) return object.slice();
  if (isNodeBuffer(object)) return new Uint8Array(object).buffer;
  return object instanceof URL ? object.href : copyOfPlain(object);
}

function copyOfPlain(object: object): object {
  const copy: object = Object.create(Object.getPrototypeOf(object));
  for (const [key, value] of Object.entries(object)) put(copy, key, value);
  return copy;
}

/** Gives an object the content that its stand-in tells of. */
export function overwrite(object: object, standIn: unknown): void {
  if (Array.isArray(object)) overwriteArray(object, standIn as unknown[]);
  else if (object instanceof Map || object instanceof Set) refill(object, standIn as unknown[]);
  else if (object instanceof Error) restoreError(object, standIn as object);
  else if (object instanceof Date) object.setTime(standIn as number);
  else if (object instanceof ArrayBuffer) new Uint8Array(object).set(new Uint8Array(standIn as ArrayBuffer));
  else if (object instanceof Uint8Array) object.set(new Uint8Array(standIn as ArrayBuffer));
  else if (isSearchParams(object)) overwriteSearchParams(object, standIn as string[]);
  else if (object instanceof URL) Object.assign(object, { href: standIn });
  else overwritePlain(object, standIn as object);
}

function overwriteArray(array: unknown[], elements: unknown[]): void {
  array.length = 0;
  Object.assign(array, elements);
  array.length = elements.length;
}

function refill(collection: Map<unknown, unknown> | Set<unknown>, parts: unknown[]): void {
  collection.clear();
  if (collection instanceof Set) for (const part of parts) collection.add(part);
  else for (let index = 0; index < parts.length; index += 2) collection.set(parts[index], parts[index + 1]);
}

function overwriteSearchParams(params: SearchParams, parts: string[]): void {
  for (const [name] of [...params]) params.delete(name);
  for (let index = 0; index < parts.length; index += 2)
    params.append(parts[index] as string, parts[index + 1] as string);
}

function overwritePlain(object: object, copy: object): void {
  for (const key of Object.keys(object)) Reflect.deleteProperty(object, key);
  Object.setPrototypeOf(object, Object.getPrototypeOf(copy));
  for (const [key, value] of Object.entries(copy)) put(object, key, value);
}

/** Sets a key of a plain object, `__proto__` too. */
export function put(object: object, key: PropertyKey, value: unknown): void {
  Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}
