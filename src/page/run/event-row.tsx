import { useMemo } from "preact/hooks";
import { BASE } from "../api.ts";
import { Copy } from "../parts/copy.tsx";
import { print } from "../parts/print.ts";
import { Time } from "../parts/time.tsx";
import { Value } from "../parts/value.tsx";
import { clipped } from "./head.tsx";
import type { HistoryEvent } from "./history.ts";
import { runLink } from "./tabs.tsx";

interface Props {
  id: string;
  event: HistoryEvent;
  /** The one that was linked to. */
  isMarked?: boolean;
}

const LONGEST_LINE = 300;

/** An event in a line; what it carries opens below. */
export function EventRow({ id, event, isMarked = false }: Props) {
  const line = useMemo(() => clipped(event.text || summaryOf(event), LONGEST_LINE), [event]);
  const link = runLink(id, { tab: "events", event: event.key });
  return (
    <li class={isMarked ? "event marked" : "event"} data-event={event.key} aria-current={isMarked ? "true" : undefined}>
      <a class="event-time mono" href={link}>
        <span class="hidden">Event of </span>
        <Time at={event.at} />
      </a>
      <span class={`event-type ${event.type}`}>{event.type}</span>
      <span class="event-text">
        {event.node !== undefined && (
          <>
            <bdi class="soft">{event.node}</bdi>{" "}
          </>
        )}
        {event.item !== undefined && (
          <a href={runLink(id, { tab: "items", item: event.item })}>item {event.item.split("-")[1]}</a>
        )}{" "}
        <bdi>{line}</bdi>
        {isMarked && (
          <>
            {event.data !== undefined ? (
              <Value value={event.data} label="Data" />
            ) : (
              line !== event.text && <p>{event.text}</p>
            )}
            <p>
              <Copy text={() => `${location.origin}${BASE}/${link}`} label="Copy link" />
            </p>
          </>
        )}
      </span>
    </li>
  );
}

function summaryOf({ data }: HistoryEvent): string {
  return data === undefined ? "" : print(data, LONGEST_LINE).replaceAll(/\s*\n\s*/g, " ");
}
