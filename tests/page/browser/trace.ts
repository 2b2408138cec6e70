import type { Page } from "playwright-core";

interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  /** Microseconds on the clock, and of the thread's own time. */
  dur?: number;
  tdur?: number;
  args?: { name?: string };
}

/** A task that a page's main thread was busy with. */
export interface Task {
  wallMs: number;
  /** What the thread itself worked. On a machine that is busy with the server as well, it is the page's own share. */
  cpuMs: number;
}

/** All tasks of the page's main thread, by the browser's own trace, while something is done. */
export async function tasksWhile(page: Page, act: () => Promise<void>): Promise<Task[]> {
  const browser = page.context().browser();
  if (!browser) throw new Error("Expected a page of a browser that was launched");
  await browser.startTracing(page, { categories: ["toplevel", "devtools.timeline", "__metadata"] });
  try {
    await act();
  } catch (error) {
    await browser.stopTracing();
    throw error;
  }
  const { traceEvents } = JSON.parse(String(await browser.stopTracing())) as { traceEvents: TraceEvent[] };
  const isMain = mainThreads(traceEvents);
  return traceEvents
    .filter((event) => event.name === "RunTask" || event.name === "ThreadControllerImpl::RunTask")
    .filter(({ ph, pid, tid }) => ph === "X" && isMain.has(`${pid}/${tid}`))
    .map(({ dur = 0, tdur = 0 }) => ({ wallMs: dur / 1_000, cpuMs: tdur / 1_000 }));
}

/** Of all pages: in a browser of one test that is the one that was traced, and empty ones. */
function mainThreads(events: readonly TraceEvent[]): Set<string> {
  const named = events.filter(({ name, args }) => name === "thread_name" && args?.name === "CrRendererMain");
  return new Set(named.map(({ pid, tid }) => `${pid}/${tid}`));
}

/** The memory that the page's own objects take, after a collection. */
export async function heapBytes(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  await session.send("Performance.enable");
  const { metrics } = await session.send("Performance.getMetrics");
  await session.detach();
  return metrics.find(({ name }) => name === "JSHeapUsedSize")?.value ?? Number.NaN;
}
