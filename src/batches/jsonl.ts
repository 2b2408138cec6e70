// JSON Lines, as batch APIs take and give them: a file of hundreds of megabytes of which little is held at a time.

/** Lines that become one piece of a file: so many are text before they are bytes. */
const LINES_PER_PIECE = 500;

/** A file of the values that `lineOf` makes of `items`, a line each. No more than a piece of it is ever held as text. */
export function jsonlOf<T>(items: readonly T[], lineOf: (item: T) => unknown): Blob {
  const pieces: Blob[] = [];
  for (let first = 0; first < items.length; first += LINES_PER_PIECE) {
    const lines = items.slice(first, first + LINES_PER_PIECE).map((item) => `${JSON.stringify(lineOf(item))}\n`);
    pieces.push(new Blob(lines));
  }
  return new Blob(pieces, { type: "application/jsonl" });
}

/** The lines of a stream of UTF-8 that is cut anywhere: within a line, or within a character. Blank ones are left out. */
export async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let begun = "";
  for await (const bytes of stream) {
    const lines = decoder.decode(bytes, { stream: true }).split("\n");
    lines[0] = begun + lines[0];
    begun = lines.pop() as string;
    yield* lines.filter(isFilled);
  }
  begun += decoder.decode();
  if (isFilled(begun)) yield begun;
}

function isFilled(line: string): boolean {
  return line.trim() !== "";
}
