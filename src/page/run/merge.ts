import type { ItemCounts, LiveNews, LogEvent, NodeProgress, RunOutline } from "../../http/api.ts";

/** So many events are kept: as many as the run keeps. */
export const MOST_EVENTS = 1_000;

/** What is known of a run. */
export interface RunState {
  run: RunOutline | null;
  nodes: ReadonlyMap<string, NodeProgress>;
  events: readonly LogEvent[];
}

export const NOTHING: RunState = { run: null, nodes: new Map(), events: [] };

/**
 * What is known with the news. The first of a connection have everything but the events: what was known before them may be out of
 * date, or of another run of the same id.
 */
export function merge(state: RunState, news: LiveNews, isFirst: boolean): RunState {
  const before = isFirst && !isSame(state.run, news.run) ? NOTHING : state;
  return {
    run: mergeRun(isFirst ? null : before.run, news.run),
    nodes: news.nodes ? mergeNodes(isFirst ? NOTHING.nodes : before.nodes, news.nodes) : before.nodes,
    events: news.events ? mergeEvents(before.events, news.events) : before.events,
  };
}

function isSame(run: RunOutline | null, other: LiveNews["run"]): boolean {
  return run?.createdAt === other?.createdAt;
}

/** A part of a run is no run: it is nothing until all of it was told. */
function mergeRun(run: RunOutline | null, news: LiveNews["run"]): RunOutline | null {
  if (run) return { ...run, ...news } as RunOutline;
  return news?.id === undefined ? null : (news as RunOutline);
}

function mergeNodes(nodes: RunState["nodes"], changed: NodeProgress[]): RunState["nodes"] {
  return new Map([...nodes, ...changed.map((node): [string, NodeProgress] => [node.node, node])]);
}

/** In the order of their numbers, each once, and only the latest. */
export function mergeEvents(events: readonly LogEvent[], more: readonly LogEvent[]): readonly LogEvent[] {
  const last = events.at(-1)?.id ?? 0;
  const isLater = more.every((event, at) => event.id > (more[at - 1]?.id ?? last));
  if (isLater) return more.length === 0 ? events : [...events, ...more].slice(-MOST_EVENTS);
  const byId = new Map([...events, ...more].map((event) => [event.id, event]));
  return [...byId.values()].sort((one, other) => one.id - other.id).slice(-MOST_EVENTS);
}

/** How many of the items will change no more. */
export function settledOf({ succeeded, failed, canceled }: ItemCounts): number {
  return succeeded + failed + canceled;
}

export function isTerminal({ finishedAt }: Pick<RunOutline, "finishedAt">): boolean {
  return finishedAt !== null;
}
