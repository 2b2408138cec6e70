import type { Context } from "hono";
import { type SSEMessage, type SSEStreamingApi, streamSSE } from "hono/streaming";
import { sleep } from "../core/attempt.ts";
import { type KeptEvent, MOST_READ } from "../durable/event-store.ts";
import type { RunOutline, RunView } from "../durable/view.ts";
import { readLastEventId } from "./input.ts";
import { Problem } from "./problem.ts";
import type { RunStub, Runs } from "./runs.ts";
import { writeRun } from "./write.ts";

/** So long a call waits in the run for something to happen. */
const WAIT_MS = 10_000;
/** Nobody reads faster than this: what happens in between is told together. */
const PAUSE_MS = 100;
/** Proxies close a connection on which nothing comes, many of them after 30 s or a minute. */
const HEARTBEAT_MS = 10_000;
const HEARTBEAT = ": \n\n";
/** No run is at this moment, so that the first answer comes at once. */
const NO_PULSE = -1;

type Pages = AsyncGenerator<SSEMessage[], void>;

/**
 * Streams what happens in a run. First `snapshot`, the run without its output; then `progress` with those of its fields that have
 * changed, `step` where that is the step it is at, and each `emit` and `item-failed` from the event on that the client had last. So
 * the fields of all that came, put together, are the run. It ends with `done` once all was told. A stream that ends otherwise was
 * interrupted: the client comes again with `Last-Event-ID`, as an `EventSource` does by itself.
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
  let [last, pulse] = [after, NO_PULSE];
  for (let told: RunOutline | undefined; ; ) {
    const found = await find(runs, id, told !== undefined, (run) => run.follow(last, pulse, WAIT_MS));
    // With an idempotency key another run may have the id of one that was deleted.
    const news = isSame(told, found?.run) ? found : null;
    if (!news) return yield [DELETED];
    const page = [...(news.run ? runEvents(told, news.run, last) : []), ...news.events.map(keptEvent)];
    told = news.run ?? (told as RunOutline);
    // One answer need not bring all that there is.
    const done = news.isFinished && news.events.length === 0 ? await doneOf(runs, id, told) : null;
    if (done) return yield [...page, done];
    yield page;
    last = news.events.at(-1)?.id ?? last;
    pulse = news.pulse;
    if (news.events.length < MOST_READ) await sleep(PAUSE_MS);
  }
}

const DELETED: SSEMessage = { event: "done", data: JSON.stringify({ status: "deleted", run: null }) };

/** What is told last of a run that has ended as was told; nothing where it has gone on since, though it may have ended again. */
async function doneOf(runs: Runs, id: string, told: RunOutline): Promise<SSEMessage | null> {
  const view: RunView | null = await find(runs, id, true, (run) => run.view());
  if (!view || !isSame(told, view)) return DELETED;
  if (view.finishedAt === null || view.redriveCount !== told.redriveCount) return null;
  return { event: "done", data: `{"status":"${view.status}","run":${writeRun(view)}}` };
}

/** Whether what was found is the run that was told of. Nothing is found of one that is as it was. */
function isSame(told: RunOutline | undefined, found: RunOutline | null | undefined): boolean {
  return !told || !found || told.createdAt === found.createdAt;
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

/** How the run is, or what of it is other than was told. The number is that of the last event that the client has. */
function runEvents(told: RunOutline | undefined, run: RunOutline, last: number): SSEMessage[] {
  const id = String(last);
  if (!told) return [{ event: "snapshot", id, data: JSON.stringify(run) }];
  const { step, ...changed } = changesOf(told, run);
  const events: SSEMessage[] = [];
  if (step !== undefined) events.push({ event: "step", id, data: JSON.stringify({ step }) });
  if (Object.keys(changed).length > 0) events.push({ event: "progress", id, data: JSON.stringify(changed) });
  return events;
}

function changesOf(told: RunOutline, run: RunOutline): Partial<RunOutline> {
  const before: { [field: string]: unknown } = { ...told };
  const entries = Object.entries(run).filter(
    ([field, value]) => JSON.stringify(before[field]) !== JSON.stringify(value),
  );
  return Object.fromEntries(entries);
}

function keptEvent(event: KeptEvent): SSEMessage {
  const { id, type, step: _, ...told } = event;
  return { event: type, id: String(id), data: type === "emit" ? withData(event) : JSON.stringify(told) };
}

/** What was emitted is JSON text already, so it is put in as it is. */
function withData({ node, branch, index, at, data }: KeptEvent & { type: "emit" }): string {
  return `${JSON.stringify({ node, branch, index, at }).slice(0, -1)},"data":${data}}`;
}

/** Writes a comment now, with which the response's head leaves, and then again and again. Returns what ends that. */
function beat(stream: SSEStreamingApi): () => void {
  const write = () => stream.write(HEARTBEAT);
  void write();
  const timer = setInterval(write, HEARTBEAT_MS);
  return () => clearInterval(timer);
}
