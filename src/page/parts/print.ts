/** Deeper than this nothing is indented further: ten thousand levels of spaces are no help to anybody. */
const DEEPEST_INDENT = 24;

/** What turns the direction of the text after it, brackets and quotes too: written as JSON may write any character. */
const TURNING = /[\u202a-\u202e\u2066-\u2069]/g;

interface Open {
  value: { [key: string]: unknown };
  keys: string[];
  isArray: boolean;
  /** How many of the keys are written. */
  written: number;
}

/**
 * JSON as people read it. It stops soon after `most` characters, so that what is longer than that was not written whole. Without
 * recursion: what the value holds may be as deep as it likes.
 */
export function print(value: unknown, most = Number.POSITIVE_INFINITY): string {
  const open: Open[] = [];
  let text = begin(value, most, open);
  for (let inner = open.at(-1); inner && text.length <= most; inner = open.at(-1)) {
    const key = inner.keys[inner.written++];
    if (key === undefined) {
      open.pop();
      text += `${line(open.length)}${inner.isArray ? "]" : "}"}`;
    } else {
      text += `${inner.written > 1 ? "," : ""}${line(open.length)}${inner.isArray ? "" : `${leaf(key, most)}: `}`;
      text += begin(inner.value[key], most - text.length, open);
    }
  }
  return text;
}

function begin(value: unknown, most: number, open: Open[]): string {
  if (typeof value !== "object" || value === null) return leaf(value, most);
  const isArray = Array.isArray(value);
  const keys = Object.keys(value);
  if (keys.length === 0) return isArray ? "[]" : "{}";
  open.push({ value: value as Open["value"], keys, isArray, written: 0 });
  return isArray ? "[" : "{";
}

function leaf(value: unknown, most: number): string {
  const isLong = typeof value === "string" && value.length > most;
  const text = JSON.stringify(isLong ? value.slice(0, Math.max(0, most)) : value) ?? "undefined";
  return text.replaceAll(TURNING, (mark) => `\\u${mark.charCodeAt(0).toString(16)}`);
}

function line(depth: number): string {
  return `\n${"  ".repeat(Math.min(depth, DEEPEST_INDENT))}`;
}
