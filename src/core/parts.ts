// What objects are made of, as far as the codec stores it: whoever writes a graph and whoever reads it find the same parts in
// the same order.

const LARGEST_LENGTH = "4294967295";

/** Whether an object's parts are written one by one, as opposed to a Date, an Error or bytes. */
export function isContainer(object: object): boolean {
  return Array.isArray(object) || object instanceof Map || object instanceof Set || isPlainObject(object);
}

export function isPlainObject(object: object): boolean {
  const prototype = Object.getPrototypeOf(object);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** What an object holds directly. Nothing where the codec refuses the object. */
export function partsOf(object: object): unknown[] {
  if (Array.isArray(object)) return elementsOf(object);
  if (object instanceof Map) return [...object].flat();
  if (object instanceof Set) return [...object];
  if (object instanceof Error) return partsOfError(object);
  if (ArrayBuffer.isView(object)) return isNodeBuffer(object) ? [] : [object.buffer];
  return isPlainObject(object) ? Object.values(object) : [];
}

/** Without the other properties that an array may have (`index` of a match): they are not stored, and come after the indexes. */
function elementsOf(array: unknown[]): unknown[] {
  const keys = Object.keys(array);
  let count = keys.length;
  while (count > 0 && !isIndex(keys[count - 1] as string)) count--;
  return Object.values(array).slice(0, count);
}

export function isIndex(key: string): boolean {
  return String(Number(key) >>> 0) === key && key !== LARGEST_LENGTH;
}

/** The name and the message are text, and `cause` is no field wherever it stands: it is read back as Error itself defines it. */
function partsOfError(error: Error): unknown[] {
  const { name, message, stack, cause, ...own } = { ...error, cause: error.cause };
  return [...Object.values(own), cause];
}

/** A Buffer of Node may be a window on memory that others use too: it is stored with bytes of its own. */
export function isNodeBuffer(object: object): object is Uint8Array {
  const { Buffer } = globalThis as { Buffer?: { isBuffer(value: unknown): boolean } };
  return Buffer?.isBuffer(object) ?? false;
}
