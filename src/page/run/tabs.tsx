import type { RunOutline } from "../../http/api.ts";
import { number } from "../parts/format.ts";
import { go, linkTo, route } from "../route.ts";

const TABS = {
  overview: "Overview",
  items: "Items",
  errors: "Errors",
  timeline: "Timeline",
  events: "Events",
  output: "Output",
};
const NAMES = Object.keys(TABS) as Tab[];

export type Tab = keyof typeof TABS;

export function isTab(name: string | null): name is Tab {
  return name !== null && Object.hasOwn(TABS, name);
}

/** A place in the page of a run. */
export function runLink(id: string, query: { [name: string]: string | null | undefined }): string {
  return linkTo(["runs", id], query);
}

export function Tabs({ tab, run }: { tab: Tab; run: RunOutline }) {
  const show = (name: Tab) => go(runLink(route.peek().path[1] as string, { tab: name === "overview" ? null : name }));
  const step = (event: KeyboardEvent) => {
    const at = NAMES.indexOf(tab);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const name = NAMES.at(to % NAMES.length) as Tab;
    show(name);
    document.getElementById(`tab-${name}`)?.focus();
  };
  const counts: { [name in Tab]?: number } = { items: run.items.total, errors: run.items.failed };
  return (
    <div class="tabs" role="tablist" aria-label="Views of the run" onKeyDown={step}>
      {NAMES.map((name) => (
        <button
          key={name}
          type="button"
          role="tab"
          id={`tab-${name}`}
          aria-selected={name === tab}
          aria-controls="run-view"
          tabIndex={name === tab ? 0 : -1}
          onClick={() => show(name)}
        >
          {TABS[name]}
          {Boolean(counts[name]) && <span class="soft"> {number(counts[name] as number)}</span>}
        </button>
      ))}
    </div>
  );
}
