import type { LogEvent, RunOutline } from "../../http/api.ts";

/** What has happened in a run, as it is shown. */
export interface HistoryEvent {
  /** Names it within the run; of a kept event its number. */
  key: string;
  at: string;
  type: string;
  text: string;
  node?: string;
  /** The item it is about, as the items' own view names it. */
  item?: string;
  /** What was emitted. */
  data?: unknown;
}

/** All that is known of what has happened, by time: what the run tells of itself, and the events it has kept. */
export function history(run: RunOutline, events: readonly LogEvent[]): HistoryEvent[] {
  const all = [...ownEvents(run), ...events.map(keptEvent)];
  // Stable: of one moment they stay in the order in which they were told.
  return all.sort((one, other) => Date.parse(one.at) - Date.parse(other.at));
}

function ownEvents(run: RunOutline): HistoryEvent[] {
  const { trigger, startedAt, finishedAt, redrives, signals, callback } = run;
  const created = `by ${trigger.type}${trigger.name === null ? "" : ` ${trigger.name}`}`;
  return [
    { key: "created", at: run.createdAt, type: "created", text: created },
    ...(startedAt === null ? [] : [{ key: "started", at: startedAt, type: "started", text: "" }]),
    ...redrives.map(({ at, status, failed }) => ({
      key: `redrive ${at}`,
      at,
      type: "redrive",
      text: `was ${status}, with ${failed} failed`,
    })),
    ...signals.map(({ id, name, at }) => ({ key: `signal ${id}`, at, type: "signal", text: name })),
    ...(callback?.deliveries ?? []).flatMap(({ id, type, status, triedAt, httpStatus }) =>
      triedAt === null
        ? []
        : [
            {
              key: `delivery ${id}`,
              at: triedAt,
              type: "delivery",
              text: `${type}: ${status}${httpStatus === null ? "" : `, ${httpStatus}`}`,
            },
          ],
    ),
    ...(finishedAt === null
      ? []
      : [{ key: "finished", at: finishedAt, type: run.status, text: run.completionReason ?? "" }]),
  ];
}

function keptEvent(event: LogEvent): HistoryEvent {
  const { id, at, type, node, step, index } = event;
  const item = index === null ? {} : { item: `${step}-${index}` };
  const told = { key: String(id), at, type, node, ...item };
  if (event.type === "emit") return { ...told, text: "", data: event.data };
  const { error, attempts } = event;
  return { ...told, text: `${error.name}: ${error.message} (${attempts} ${attempts === 1 ? "attempt" : "attempts"})` };
}
