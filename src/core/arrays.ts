import { rawOf } from "./behind.ts";
import type { Splice } from "./changes.ts";
import type { Lens } from "./recorder.ts";

/** An array that a method is called on, as a writer sees it. */
interface Seen {
  raw: unknown[];
  lens: Lens;
}

type Method = (seen: Seen, given: unknown[]) => unknown;

/** Native methods that need to know more than what they do to the array's elements, one by one. */
const METHODS = new Map<unknown, Method>([
  // They find an object whether they are given the object or a proxy of it, and whichever the array holds.
  ...[Array.prototype.includes, Array.prototype.indexOf, Array.prototype.lastIndexOf].map(
    (search): [unknown, Method] => [
      search,
      ({ raw }, given) => Reflect.apply(search, raw.map(rawOf), given.map(rawOf)),
    ],
  ),
  // They would write every element behind: a queue would be written anew each time something is taken from it.
  [Array.prototype.shift, ({ raw, lens }) => lens.wrap(splice(raw, lens, [0, 1])[0])],
  [Array.prototype.unshift, unshift],
  [Array.prototype.splice, ({ raw, lens }, given) => splice(raw, lens, given).map(lens.wrap)],
]);

/** The method as it is called on a writer's proxy of the array, if it needs to be another. */
export function methodOf(seen: Seen, native: unknown): ((...given: unknown[]) => unknown) | undefined {
  const method = METHODS.get(native);
  return method && ((...given) => method(seen, given));
}

function unshift({ raw, lens }: Seen, given: unknown[]): number {
  splice(raw, lens, [0, 0, ...given]);
  return raw.length;
}

function splice(raw: unknown[], lens: Lens, given: unknown[]): unknown[] {
  const { length } = raw;
  const items = given.slice(2).map((item) => lens.takeIn(item, raw));
  const removed: unknown[] = Reflect.apply(Array.prototype.splice, raw, [...given.slice(0, 2), ...items]);
  const change: Splice = [length, placeIn(length, Number(given[0])), removed.length, items.length];
  if (removed.length + items.length > 0) lens.recorder.spliced(raw, change, lens.writer);
  return removed;
}

/** The index that a splice begins at: a negative one counts from the end. */
function placeIn(length: number, given: number): number {
  const index = Math.trunc(given) || 0;
  return index < 0 ? Math.max(length + index, 0) : Math.min(index, length);
}
