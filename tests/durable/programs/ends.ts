import { toFailure } from "../../../src/core/errors.ts";
import type { written } from "./index.ts";

export type Written = (typeof written)[number];

/** How a program ended: with its shared and its last action, or with an error. */
export type End = { shared: unknown; action: string | null } | { error: { name: string; message: string } };

export async function endInMemory({ make, input }: Written): Promise<End> {
  const shared = structuredClone(input);
  try {
    const action = await make().run(shared);
    return { shared, action: action || null };
  } catch (error) {
    const { name, message } = toFailure(error);
    return { error: { name, message } };
  }
}

/** What must be equal of two ends: values, the order of keys, and what is one object. */
export interface Comparable {
  end: End;
  outline: string[];
}

export function comparable({ copies }: Written, end: End): Comparable {
  return { end, outline: copies ? [] : outline(end) };
}

/**
 * What an equality of values does not show: the order of keys, and which object was met before, at which path. For each object
 * under `root`, in the order in which a walk meets them.
 */
function outline(root: unknown): string[] {
  const lines: string[] = [];
  const paths = new Map<object, string>();
  const walk = (value: unknown, path: string) => {
    if (typeof value !== "object" || value === null) return;
    const known = paths.get(value);
    lines.push(known === undefined ? `${path}: ${keysOf(value)}` : `${path} is ${known}`);
    if (known !== undefined) return;
    paths.set(value, path);
    for (const [key, part] of partsOf(value)) walk(part, `${path}.${key}`);
  };
  walk(root, "end");
  return lines;
}

function keysOf(value: object): string {
  return Array.isArray(value) || !isPlain(value) ? "" : Object.keys(value).join();
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function partsOf(value: object): [key: string | number, part: unknown][] {
  if (value instanceof Map) return [...[...value.keys(), ...value.values()].entries()];
  if (value instanceof Set) return [...[...value].entries()];
  if (ArrayBuffer.isView(value)) return [["buffer", value.buffer]];
  return Array.isArray(value) || isPlain(value) ? Object.entries(value) : [];
}
