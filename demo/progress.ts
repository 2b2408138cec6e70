/** What a bar shows of some work. */
export interface Counts {
  done: number;
  total: number;
}

export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(words: string): unknown;
}

const RATE_WINDOW_MS = 3_000;
const PLAIN_EVERY_MS = 1_000;
const MAX_BAR = 40;

/**
 * A progress bar on a terminal; elsewhere plain lines, one a second.
 *
 * @example
 * const progress = new Progress(process.stdout);
 * progress.show({ done: 117, total: 233 }); // ███████████░░░░░░░░░░░ 117/233 · 80/s · 1 s left
 * progress.end();
 */
export class Progress {
  readonly #screen: Screen;
  readonly #now: () => number;
  #samples: { atMs: number; done: number }[] = [];
  #lastLineMs = -Infinity;
  #shown = "";

  constructor(screen: Screen, now: () => number = () => performance.now()) {
    this.#screen = screen;
    this.#now = now;
  }

  show(counts: Counts): void {
    this.#shown = words(counts, this.#rate(counts.done));
    if (this.#screen.isTTY) this.#redraw(counts);
    else this.#print();
  }

  /** Leaves the bar as it stands; what comes next starts on a line of its own. */
  end(): void {
    if (this.#screen.isTTY && this.#shown) this.#screen.write("\n");
  }

  #redraw(counts: Counts): void {
    // A terminal that does not know its width says 0.
    const room = (this.#screen.columns || 80) - this.#shown.length - 2;
    this.#screen.write(`\r\x1b[2K${bar(counts, Math.min(MAX_BAR, room))}${this.#shown}`);
  }

  #print(): void {
    if (this.#now() - this.#lastLineMs < PLAIN_EVERY_MS) return;
    this.#lastLineMs = this.#now();
    this.#screen.write(`${this.#shown}\n`);
  }

  /** Items a second, over the last few seconds. */
  #rate(done: number): number {
    const now = this.#now();
    this.#samples = [...this.#samples.filter(({ atMs }) => now - atMs <= RATE_WINDOW_MS), { atMs: now, done }];
    const [first] = this.#samples;
    return first && now > first.atMs ? ((done - first.done) / (now - first.atMs)) * 1000 : 0;
  }
}

function words({ done, total }: Counts, rate: number): string {
  const left = rate > 0 ? `${Math.ceil((total - done) / rate)} s left` : "…";
  return `${done}/${total} · ${Math.round(rate)}/s · ${done === total ? "done" : left}`;
}

function bar({ done, total }: Counts, width: number): string {
  if (width < 5) return "";
  const filled = total === 0 ? 0 : Math.round((done / total) * width);
  return `${"█".repeat(filled)}${"░".repeat(width - filled)} `;
}
