import { once } from "node:events";
import { styleText } from "node:util";

// The two streams. Answers go to standard output, everything else that is said to standard error.

type Style = Parameters<typeof styleText>[0];
type Stream = NodeJS.WriteStream;

/** `head` and its like close the pipe when they have enough: that is no error, and nobody is left to be told of one. */
export function endQuietlyOnClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(0);
      throw error;
    });
  }
}

/** Writes a line to standard output, and waits where its reader is slow. */
export async function print(line: string): Promise<void> {
  if (!process.stdout.write(`${line}\n`)) await once(process.stdout, "drain");
}

/** Writes a line to standard error. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Colours a text where the stream shows colours, as NO_COLOR and FORCE_COLOR say. */
export function paint(style: Style, text: string, stream: Stream = process.stdout): string {
  return styleText(style, text, { stream, validateStream: true });
}

const FALLBACK_COLUMNS = 80;

/** How wide the terminal is; no bound where the stream is none. */
export function columnsOf(stream: Stream = process.stdout): number {
  return stream.isTTY ? stream.columns || FALLBACK_COLUMNS : Number.POSITIVE_INFINITY;
}

const STATUS_STYLES: { readonly [status: string]: Style } = {
  completed: "green",
  succeeded: "green",
  failed: "red",
  canceled: "yellow",
  paused: "yellow",
  running: "cyan",
  waiting: "magenta",
  deferred: "magenta",
};

/** The colour of a run's or an item's status. */
export function styleOf(status: string): Style {
  return STATUS_STYLES[status] ?? "dim";
}
