import { useEffect, useMemo, useState } from "preact/hooks";
import type { Item, RunOutline, Step } from "../../http/api.ts";
import { now, number } from "../parts/format.ts";
import { attempt } from "../parts/notes.tsx";
import { isTerminal } from "./merge.ts";
import type { ViewProps } from "./run-page.tsx";
import { itemsOf, MOST_STEPS, useSteps } from "./steps.ts";
import { rowsOf } from "./timeline-rows.ts";
import { Waterfall } from "./waterfall.tsx";

const ITEMS_PAUSE_MS = 3_000;

/** When each step was under way, and the items of those that somebody opens. */
export function Timeline({ id, live }: ViewProps) {
  const run = live.run.value as RunOutline;
  const isLive = !isTerminal(run) && run.status !== "paused";
  const { steps, isCut, problem } = useSteps(id, isLive, `${run.finishedAt} ${run.redriveCount}`);
  const { shown, toggle } = useShownItems(id, isLive);
  const nowMs = run.finishedAt === null ? now.value : Date.parse(run.finishedAt);
  const rows = useMemo(() => rowsOf(steps ?? [], shown, nowMs), [steps, shown, nowMs]);
  const fromMs = Date.parse(run.startedAt ?? run.createdAt);
  const toMs = Math.max(fromMs + 1, nowMs);
  return (
    <>
      {problem !== null && (
        <p class="warning" role="alert">
          {problem}
        </p>
      )}
      {steps === null && problem === null && <p class="soft">Loading…</p>}
      {isCut && <p class="soft">The first {number(MOST_STEPS)} steps.</p>}
      {steps !== null && <Waterfall {...{ id, rows, shown, toggle, fromMs, toMs }} />}
    </>
  );
}

/** The items of the steps that were opened, read again while the run goes on. */
function useShownItems(id: string, isLive: boolean) {
  const [opened, setOpened] = useState<ReadonlyMap<number, Step>>(new Map());
  const [shown, setShown] = useState<ReadonlyMap<number, readonly Item[]>>(new Map());
  useEffect(() => {
    let isOver = false;
    const read = async () => {
      for (const step of opened.values()) {
        const items = await attempt(() => itemsOf(id, step));
        if (isOver) return;
        if (items) setShown((before) => new Map([...before, [step.id, items]]));
      }
      if (isLive && opened.size > 0) timer = setTimeout(read, ITEMS_PAUSE_MS);
    };
    let timer = setTimeout(read);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [id, opened, isLive]);
  const toggle = (step: Step) => {
    const isOpen = opened.has(step.id);
    const others = [...opened].filter(([other]) => other !== step.id);
    setOpened(new Map(isOpen ? others : [...others, [step.id, step]]));
    // The place of what comes is shown at once, as no rows yet.
    setShown(
      (before) => new Map(isOpen ? [...before].filter(([other]) => other !== step.id) : [...before, [step.id, []]]),
    );
  };
  return { shown, toggle };
}
