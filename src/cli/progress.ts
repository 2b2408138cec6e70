import type { RunOutline } from "../http/api.ts";
import type { Follower } from "./follow.ts";
import { columnsOf, paint, say, styleOf } from "./terminal.ts";
import { clean, clip, widthOf } from "./text.ts";
import { number, seconds } from "./words.ts";

const TICK_MS = 1_000;
/** Over so long the rate is measured. */
const WINDOW_MS = 10_000;
const BAR_COLUMNS = 24;
const TO_LINE_START = "\r";
const ERASE_REST = "\x1b[K";

/** Shows how far a run is: on a terminal as one line that is drawn again and again, elsewhere as a line for each change. */
export class Progress implements Follower {
  readonly #isDrawn = process.stderr.isTTY === true;
  readonly #rate = new Rate();
  readonly #timer: NodeJS.Timeout | undefined;
  #run: RunOutline | undefined;
  #said = "";

  constructor() {
    // The time that is left goes by although nothing comes.
    if (this.#isDrawn) this.#timer = setInterval(() => this.#draw(), TICK_MS).unref();
  }

  onChange(run: RunOutline): void {
    this.#run = run;
    this.#rate.note(doneOf(run));
    if (this.#isDrawn) this.#draw();
    else this.#tell(run);
  }

  onLost(): void {
    this.#note("The connection is lost: trying again. The run does not need it.");
  }

  onFound(): void {
    this.#note("Connected again.");
  }

  /** Leaves the terminal's line to others. */
  end(): void {
    clearInterval(this.#timer);
    if (this.#isDrawn && this.#run) process.stderr.write(TO_LINE_START + ERASE_REST);
    this.#run = undefined;
  }

  #note(words: string): void {
    if (this.#isDrawn) process.stderr.write(TO_LINE_START + ERASE_REST);
    say(words);
    if (this.#isDrawn) this.#draw();
  }

  #draw(): void {
    if (!this.#run) return;
    const { failed, total } = this.#run.items;
    const words = [
      ...countsOf(this.#run),
      ...this.#rate.words(total - doneOf(this.#run), this.#run.status),
      stateOf(this.#run),
    ].join("  ");
    const columns = columnsOf(process.stderr) - 1;
    const size = Math.max(0, Math.min(BAR_COLUMNS, columns - widthOf(words) - 1));
    const bar = size < 4 ? "" : `${barOf(this.#run, size)} `;
    const room = columns - (bar === "" ? 0 : size + 1);
    const text = clip(words, room);
    const tone = failed > 0 && this.#run.status === "running" ? "failed" : this.#run.status;
    process.stderr.write(TO_LINE_START + bar + paint(styleOf(tone), text, process.stderr) + ERASE_REST);
  }

  /** Says how far the run is, unless that was said. Of many items a line for each hundredth of them is enough. */
  #tell(run: RunOutline): void {
    const { total } = run.items;
    const state = stateOf(run);
    const now = `${state} ${total} ${total === 0 ? 0 : Math.floor((100 * doneOf(run)) / total)}`;
    if (now === this.#said) return;
    this.#said = now;
    say([...countsOf(run), state].join("  "));
  }
}

function doneOf({ items }: RunOutline): number {
  return items.succeeded + items.failed + items.canceled;
}

function countsOf(run: RunOutline): string[] {
  const { total, failed, canceled } = run.items;
  return [
    `${number(doneOf(run))}/${number(total)}`,
    ...(failed > 0 ? [`${number(failed)} failed`] : []),
    ...(canceled > 0 ? [`${number(canceled)} canceled`] : []),
  ];
}

/** The status, and what the run is at or waits for. */
function stateOf({ status, step, resumesAt, waitsFor }: RunOutline): string {
  if (status === "running") return clean(step ? `running ${step.node}` : status);
  if (status !== "waiting") return clean(status);
  const [wait] = waitsFor;
  const until = resumesAt ?? wait?.until ?? null;
  const what = wait?.signal ? [`for signal ${wait.signal}`] : [];
  return clean(["waiting", ...what, ...(until === null ? [] : [`until ${until}`])].join(" "));
}

function barOf({ items }: RunOutline, size: number): string {
  const share = (part: number) => (items.total === 0 ? 0 : Math.floor((size * part) / items.total));
  const [good, bad] = [share(items.succeeded), share(items.failed + items.canceled)];
  const rest = "░".repeat(size - good - bad);
  const shown = (style: string, part: string) => paint(styleOf(style), part, process.stderr);
  return shown("succeeded", "█".repeat(good)) + shown("failed", "█".repeat(bad)) + rest;
}

/** How fast items are done, as seen from here. */
class Rate {
  readonly #seen: { atMs: number; done: number }[] = [];

  note(done: number): void {
    const atMs = performance.now();
    this.#seen.push({ atMs, done });
    while (atMs - (this.#seen[1]?.atMs ?? atMs) > WINDOW_MS) this.#seen.shift();
  }

  /** The items in a second, and how long the rest takes; nothing while that is not known. */
  words(left: number, status: string): string[] {
    const [first, last] = [this.#seen[0], this.#seen.at(-1)];
    if (!first || !last || status !== "running") return [];
    const perSecond = (1_000 * (last.done - first.done)) / (performance.now() - first.atMs);
    if (!(perSecond > 0)) return [];
    return [`${perSecond.toFixed(1)}/s`, ...(left > 0 ? [`ETA ${seconds((1_000 * left) / perSecond)}`] : [])];
  }
}
