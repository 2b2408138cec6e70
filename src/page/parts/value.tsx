import { useMemo, useState } from "preact/hooks";
import { Copy } from "./copy.tsx";
import { number } from "./format.ts";
import { print } from "./print.ts";
import { save } from "./save.ts";
import "./value.css";

/** So many characters are shown at first, and at most: a browser takes seconds to lay out a million. */
const FIRST = 20_000;
const MOST = 200_000;

/** A JSON value of any size and depth, as text. */
export function Value({ value, label }: { value: unknown; label: string }) {
  return <Clipped label={label} write={(most) => print(value, most)} of={value} type="json" />;
}

/** A text of any length. */
export function Text({ text, label = "Text" }: { text: string; label?: string }) {
  return <Clipped label={label} write={(most) => text.slice(0, most + 1)} of={text} type="txt" />;
}

interface Props {
  label: string;
  /** The text: more than `most` characters where it is longer, but not by much. */
  write(most: number): string;
  /** What it is the text of. */
  of: unknown;
  type: "json" | "txt";
}

function Clipped({ label, write, of, type }: Props) {
  const [most, setMost] = useState(FIRST);
  // `write` is another one each time, but writes the same of the same value.
  const text = useMemo(() => write(most), [of, most]);
  const all = () => write(Number.POSITIVE_INFINITY);
  const isCut = text.length > most;
  return (
    <section class="value" aria-label={label}>
      <div class="buttons">
        <Copy text={all} label="Copy" what={`Copied: ${label}`} />
        {isCut && (
          <button type="button" onClick={() => save(`${label}.${type}`, new Blob([all()]))}>
            Download
          </button>
        )}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, by the keyboard too. */}
      <pre tabIndex={0}>{isCut ? text.slice(0, most) : text}</pre>
      {isCut && (
        <p class="soft">
          The first {number(most)} characters.{" "}
          {most < MOST ? (
            <button type="button" onClick={() => setMost(MOST)}>
              Show more
            </button>
          ) : (
            "The download has all of it."
          )}
        </p>
      )}
    </section>
  );
}
