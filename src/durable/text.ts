/**
 * The platform refuses a row above 2 MB, and a local runtime does not: this bound is ours. In UTF-16 units, each of which takes
 * at most three bytes in a database.
 */
export const ROW_LIMIT = 600_000;

/** The longest text of one value, so that it passes through a call between objects (32 MiB, two bytes a unit). */
export const VALUE_LIMIT = 12 * 1024 * 1024;

/** Cuts a text into parts that fit a row, never between the halves of a surrogate pair, which would be lost. */
export function* parts(text: string): Generator<string> {
  for (let from = 0; from < text.length; ) {
    let to = Math.min(from + ROW_LIMIT, text.length);
    if (to < text.length && isHighSurrogate(text.charCodeAt(to - 1))) to--;
    yield text.slice(from, to);
    from = to;
  }
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

/** Throws if a value's text is longer than a run keeps. `what` names it. */
export function checkLength(text: string, what: string | (() => string)): string {
  if (text.length <= VALUE_LIMIT) return text;
  const size = (text.length / (1024 * 1024)).toFixed(1);
  throw new RangeError(
    `Expected ${typeof what === "string" ? what : what()} to be at most ${VALUE_LIMIT / (1024 * 1024)} Mi characters when stored, got ${size} Mi: ` +
      "keep large data in a bucket and its key here",
  );
}
