import type { Context } from "hono";
import { type SSEMessage, type SSEStreamingApi, streamSSE } from "hono/streaming";
import type { KeptEmit } from "../durable/emits.ts";
import { readLastEventId } from "./input.ts";
import { Problem } from "./problem.ts";
import type { RunStub, Runs } from "./runs.ts";

/** So long a call waits in the run for something to happen. */
const WAIT_MS = 10_000;
/** Proxies close a connection on which nothing comes, many of them after 30 s or a minute. */
const HEARTBEAT_MS = 10_000;
const HEARTBEAT = ": \n\n";

type Pages = AsyncGenerator<SSEMessage[], void>;

/**
 * Streams what happens in a run, from the event on that the client had last, and ends with `done` once all was told. A stream
 * that ends otherwise was interrupted: the client comes again with `Last-Event-ID`, as an `EventSource` does by itself.
 */
export async function events(context: Context, runs: Runs): Promise<Response> {
  const pages = pagesOf(runs, context.req.param("id") as string, readLastEventId(context));
  // Before the stream begins: after that there is no word for a run that there is not.
  const first = await pages.next();
  return streamSSE(context, async (stream) => {
    const stopBeating = beat(stream);
    await tell(stream, first, pages).finally(stopBeating);
  });
}

/** Writes all events, unless the client goes away. */
async function tell(stream: SSEStreamingApi, first: IteratorResult<SSEMessage[]>, rest: Pages): Promise<void> {
  for (let page = first; !page.done && !stream.aborted; page = await rest.next()) {
    for (const event of page.value) await stream.writeSSE(event);
  }
}

/** The events of a run as they come: none in a page where nothing happened for a while. */
async function* pagesOf(runs: Runs, id: string, after: number): Pages {
  for (let [last, waitMs] = [after, 0]; ; waitMs = WAIT_MS) {
    const found = await find(runs, id, waitMs > 0, (run) => run.emits(last, waitMs));
    const emits = found?.emits ?? [];
    // One answer need not bring all that there is.
    const end = emits.length === 0 ? await endOf(runs, id, found) : null;
    if (end !== null) return yield [{ event: "done", data: JSON.stringify({ status: end }) }];
    yield emits.map(emitEvent);
    last = emits.at(-1)?.id ?? last;
  }
}

/** The status that a run has ended with; nothing where it goes on, perhaps once more. */
async function endOf(runs: Runs, id: string, found: { isFinished: boolean } | null): Promise<string | null> {
  if (found && !found.isFinished) return null;
  const view = await find(runs, id, true, (run) => run.view());
  if (!view) return "deleted";
  return view.finishedAt === null ? null : view.status;
}

/** What a call finds in a run. Nothing where that `was` there and is not any more: it was deleted meanwhile. */
async function find<T>(
  runs: Runs,
  id: string,
  was: boolean,
  call: (run: RunStub) => Promise<T | null>,
): Promise<T | null> {
  try {
    return await runs.get(id, call);
  } catch (error) {
    if (was && error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}

/** What was emitted is JSON text already, so it is put in as it is. */
function emitEvent({ id, node, branch, index, at, data }: KeptEmit): SSEMessage {
  const told = JSON.stringify({ node, branch, index, at });
  return { event: "emit", id: String(id), data: `${told.slice(0, -1)},"data":${data}}` };
}

/** Writes a comment now, with which the response's head leaves, and then again and again. Returns what ends that. */
function beat(stream: SSEStreamingApi): () => void {
  const write = () => stream.write(HEARTBEAT);
  void write();
  const timer = setInterval(write, HEARTBEAT_MS);
  return () => clearInterval(timer);
}
