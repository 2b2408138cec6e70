import type { RunOutline } from "../../http/api.ts";
import { ask, path } from "../api.ts";
import { SseReader } from "./sse.ts";

const POLL_MS = 2_000;
/** A stream that has ended is asked for again: a finished run may be redriven. */
const AGAIN_MS = 5_000;

interface Listener {
  /** The whole run, or what has changed in it. */
  onRun(news: Partial<RunOutline>, isWhole: boolean): void;
  onDeleted(): void;
  /** What the stream does not tell has to be read again. */
  onPoll(): void;
}

/** Follows a run where WebSockets do not get through: by its event stream, and by asking. Returns what ends that. */
export function fallBack(id: string, listener: Listener): () => void {
  const end = new AbortController();
  const timer = setInterval(() => {
    if (!document.hidden) listener.onPoll();
  }, POLL_MS);
  void follow(id, listener, end.signal);
  return () => {
    clearInterval(timer);
    end.abort();
  };
}

async function follow(id: string, listener: Listener, signal: AbortSignal): Promise<void> {
  for (let last = ""; !signal.aborted; ) {
    const headers: { [name: string]: string } = last === "" ? {} : { "last-event-id": last };
    // What interrupts a stream does not matter: it is asked for again.
    last = await stream(id, { headers, signal }, listener).catch(() => last);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

/** Gives the number of the last event. */
async function stream(id: string, init: RequestInit, listener: Listener): Promise<string> {
  const { body } = await ask(`${path("runs", id)}/events`, init);
  const sse = new SseReader();
  let last = "";
  const reader = (body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream() as never).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    for (const event of sse.read(part.value as unknown as string)) {
      last = event.id || last;
      tell(event.type, JSON.parse(event.data), listener);
    }
  }
  return last;
}

function tell(type: string, data: unknown, { onRun, onDeleted }: Listener): void {
  if (type === "snapshot") onRun(data as RunOutline, true);
  else if (type === "progress" || type === "step") onRun(data as Partial<RunOutline>, false);
  else if (type === "done" && (data as { status: string }).status === "deleted") onDeleted();
}
