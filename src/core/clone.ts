import { rawOf } from "./behind.ts";
import { restoreError } from "./codec.ts";
import { fresh } from "./ids.ts";
import { isPlainObject, partsOf } from "./parts.ts";

type Clone = (value: unknown, options?: object) => unknown;

let taught: Clone | undefined;

/**
 * Makes the global `structuredClone`, which refuses proxies, take those of journals for what is behind them, alone or inside
 * fresh values. Once done, it does nothing.
 */
export function teachStructuredClone(): void {
  const platform = globalThis as { structuredClone?: Clone };
  const clone = platform.structuredClone;
  if (clone === undefined || clone === taught) return;
  taught = (value, options) => clone(holdsProxy(value) ? copyOf(value, new Map()) : rawOf(value), options);
  platform.structuredClone = taught;
}

function holdsProxy(value: unknown): boolean {
  const seen = new Set<object>();
  const objects = fresh([value], seen, (object) => seen.add(object));
  return objects.some((object) => partsOf(object).some((part) => rawOf(part) !== part));
}

/** Objects and collections anew, down to what structuredClone can take as it is. */
function copyOf(value: unknown, copies: Map<object, object>): unknown {
  const raw = rawOf(value);
  if (typeof raw !== "object" || raw === null) return raw;
  const known = copies.get(raw);
  if (known) return known;
  const copyPart = (part: unknown) => copyOf(part, copies);
  if (raw instanceof Map) return fillMap(begin(raw, new Map(), copies), raw, copyPart);
  if (raw instanceof Set) return fillSet(begin(raw, new Set(), copies), raw, copyPart);
  if (raw instanceof Error) return fillError(begin(raw, new Error(), copies), raw, copyPart);
  if (Array.isArray(raw)) return fillObject(begin(raw, new Array(raw.length), copies), raw, copyPart);
  return isPlainObject(raw) ? fillObject(begin(raw, {}, copies), raw, copyPart) : raw;
}

/** Known before it is filled: it may be a part of itself. */
function begin<T extends object>(raw: object, copy: T, copies: Map<object, object>): T {
  copies.set(raw, copy);
  return copy;
}

type CopyPart = (part: unknown) => unknown;

function fillMap(copy: Map<unknown, unknown>, raw: Map<unknown, unknown>, copyPart: CopyPart): object {
  for (const [key, value] of raw) copy.set(copyPart(key), copyPart(value));
  return copy;
}

function fillSet(copy: Set<unknown>, raw: Set<unknown>, copyPart: CopyPart): object {
  for (const member of raw) copy.add(copyPart(member));
  return copy;
}

/** Its own fields are nothing that structuredClone would copy. */
function fillError(copy: Error, { name, message, stack, cause }: Error, copyPart: CopyPart): object {
  return restoreError(copy, { name, message, stack, cause: copyPart(cause) });
}

function fillObject(copy: object, raw: object, copyPart: CopyPart): object {
  for (const [key, value] of Object.entries(raw)) {
    Object.defineProperty(copy, key, { value: copyPart(value), writable: true, enumerable: true, configurable: true });
  }
  return copy;
}
