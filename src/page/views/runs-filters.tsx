import type { Ref } from "preact";
import { RUN_STATUSES, TRIGGERS } from "../../durable/statuses.ts";
import type { FlowList } from "../../http/api.ts";
import { usePoll } from "../parts/poll.tsx";
import { go, linkTo, route, setQuery } from "../route.ts";
import { type RunFilter, readFilter } from "./runs-list.ts";

const RUN_ID = /^[0-9A-Z]{30}$/;
const TIMES = { "1h": "Last hour", "24h": "Last day", "7d": "Last week" };

/** What the list shows runs by, kept in the URL. */
export function RunFilters({ input }: { input: Ref<HTMLInputElement> }) {
  const { query } = route.value;
  const filter = readFilter(query);
  const text = query.get("text") ?? "";
  const { value } = usePoll<FlowList>("/flows");
  const flows = new Set(value?.flows.map(({ name }) => name)).add(filter.flow);
  flows.delete("");
  const find = (event: SubmitEvent) => {
    event.preventDefault();
    const id = text.trim().toUpperCase();
    if (RUN_ID.test(id)) go(linkTo(["runs", id]));
  };
  return (
    <search>
      <form class="filters" onSubmit={find}>
        <input
          ref={input}
          type="search"
          aria-label="Find in the loaded runs, or open the run of an id with Enter"
          placeholder="Find, or paste a run's id  ( / )"
          value={text}
          onInput={(event) => setQuery({ text: event.currentTarget.value })}
        />
        <Choice name="status" label="Status" all="All statuses" filter={filter} options={pairs(RUN_STATUSES)} />
        <Choice name="flow" label="Flow" all="All flows" filter={filter} options={pairs([...flows])} />
        <Choice name="trigger" label="Trigger" all="All triggers" filter={filter} options={pairs(TRIGGERS)} />
        <Choice name="time" label="Created" all="All times" filter={filter} options={Object.entries(TIMES)} />
        {filter.name && (
          <button type="button" aria-label={`Name is ${filter.name}: remove`} onClick={() => setQuery({ name: null })}>
            <bdi>{filter.name}</bdi> ✕
          </button>
        )}
        {isFiltered(filter, text) && <ClearFilters />}
      </form>
    </search>
  );
}

export function ClearFilters() {
  return (
    <button type="button" onClick={() => go(linkTo(["runs"]), { replace: true })}>
      Clear filters
    </button>
  );
}

export function isFiltered(filter: RunFilter, text: string): boolean {
  return text !== "" || Object.values(filter).some(Boolean);
}

function pairs(values: readonly string[]): [string, string][] {
  return values.map((value) => [value, value]);
}

interface ChoiceProps {
  name: keyof RunFilter;
  label: string;
  /** What it says where it filters nothing. */
  all: string;
  filter: RunFilter;
  options: [string, string][];
}

function Choice({ name, label, all, filter, options }: ChoiceProps) {
  return (
    <select
      aria-label={label}
      class={filter[name] ? "chosen" : ""}
      value={filter[name]}
      onChange={(event) => setQuery({ [name]: event.currentTarget.value })}
    >
      <option value="">{all}</option>
      {options.map(([value, said]) => (
        <option key={value} value={value}>
          {said}
        </option>
      ))}
    </select>
  );
}
