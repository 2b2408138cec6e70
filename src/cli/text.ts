import { stripVTControlCharacters } from "node:util";

// What comes from a server may hold anything. On a terminal it must neither move the cursor, nor end a line, nor reorder one.

/** What a terminal obeys, from ESC or its one-byte form up to the end of the sequence. */
const SEQUENCES =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)/g;
const BREAKS = /[\t\n\v\f\r\u0085\u2028\u2029]+/g;
/** C0, DEL, C1, and the marks that change the direction of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A text as one line that a terminal only shows. */
export function clean(text: string): string {
  return text.replace(SEQUENCES, "").replace(BREAKS, " ").replace(CONTROLS, "");
}

const characters = new Intl.Segmenter("en", { granularity: "grapheme" });
const NO_WIDTH = /^[\p{M}\p{Cf}]+$/u;
const WIDE =
  /^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}])|\ufe0f/u;
const isPlain = (text: string) => /^[ -~]*$/.test(text);

/** How many columns a text takes, colours aside. */
export function widthOf(text: string): number {
  const shown = stripVTControlCharacters(text);
  if (isPlain(shown)) return shown.length;
  return Array.from(characters.segment(shown), ({ segment }) => columnsOf(segment)).reduce((a, b) => a + b, 0);
}

function columnsOf(character: string): number {
  if (NO_WIDTH.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/** As much of a text without colours as fits into some columns, with `…` where some of it does not. */
export function clip(text: string, columns: number): string {
  // Nobody looks at more than this of a long one, so it is not measured either.
  const head = text.slice(0, 4 * columns + 4);
  if (head.length === text.length && widthOf(text) <= columns) return text;
  let [kept, width] = ["", 0];
  for (const { segment } of characters.segment(head)) {
    width += columnsOf(segment);
    if (width >= columns) break;
    kept += segment;
  }
  return `${kept}…`;
}
