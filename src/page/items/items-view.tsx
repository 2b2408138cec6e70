import { useEffect, useMemo } from "preact/hooks";
import type { ItemList, ItemStatus, NodeProgress, RunOutline } from "../../http/api.ts";
import { get, path, search } from "../api.ts";
import { route, setQuery } from "../route.ts";
import type { Place } from "./grid.ts";
import { GridFeed } from "./grid-feed.ts";
import { HeatGrid } from "./heat-grid.tsx";
import { ItemDrawer, openItem } from "./item-drawer.tsx";
import { type Filters, ItemFilters, readFilters } from "./item-filters.tsx";
import { ItemPages } from "./item-pages.ts";
import { ItemTable } from "./item-table.tsx";
import "./items-view.css";

/** Items that have another status now, or "stale" where they are too many to name: all have to be read again. */
export type Moved = "stale" | { step: number; status: ItemStatus; indexes: number[] }[];

/** Tells of the items of one run while they move. Gives what ends the telling. */
export interface ItemsSource {
  onMoved(listener: (news: Moved) => void): () => void;
}

interface Props {
  id: string;
  run: RunOutline;
  nodes: ReadonlyMap<string, NodeProgress>;
  live: ItemsSource;
}

const PAGE = 1_000;

/** All items of a run: at a glance, as a table, and one by one. */
export function ItemsView({ id, run, nodes, live }: Props) {
  const { query } = route.value;
  const filters = readFilters(query);
  const withItems = [...nodes.values()].filter(({ items }) => items.total > 0);
  const picked = nodes.get(filters.node) ?? mainNode(withItems);
  const version = `${run.finishedAt !== null} ${run.redriveCount}`;
  const feed = useFeed(id, picked, live, version);
  const pages = usePages(id, filters);
  const place = readPlace(query.get("item"));
  return (
    <div class="items-view">
      {feed && picked && (
        <section>
          <h2>
            Items of <bdi>{picked.node}</bdi>
          </h2>
          <HeatGrid feed={feed} onOpen={openItem} onStatus={(status) => setQuery({ status, node: picked.node })} />
        </section>
      )}
      <ItemFilters filters={filters} nodes={withItems.map(({ node }) => node)} />
      <ItemTable key={JSON.stringify(filters)} {...{ pages, live }} version={`${version} ${run.items.total}`} />
      {place && <ItemDrawer {...{ run, place, live, version }} />}
    </div>
  );
}

/** The grid of the picked node: read again when the run ends, is redriven, or has more items than the grid knows. */
function useFeed(id: string, picked: NodeProgress | undefined, live: ItemsSource, version: string): GridFeed | null {
  const node = picked?.node;
  const feed = useMemo(() => (node === undefined ? null : new GridFeed(id, node)), [id, node]);
  useEffect(() => feed?.follow(live), [feed, live]);
  const total = picked?.items.total;
  useEffect(() => feed?.refresh(), [feed, version, total]);
  return feed;
}

function usePages(id: string, { node, status, text, error }: Filters): ItemPages {
  return useMemo(() => {
    const where = path("runs", id, "items");
    return new ItemPages((cursor) =>
      get<ItemList>(`${where}${search({ node, status, text, error, limit: PAGE, cursor })}`),
    );
  }, [id, node, status, text, error]);
}

/** The node that is under way, or else the one with the most items. */
function mainNode(nodes: NodeProgress[]): NodeProgress | undefined {
  const most = (some: NodeProgress[]) => some.toSorted((a, b) => b.items.total - a.items.total)[0];
  return most(nodes.filter(({ open, items }) => open > 0 && items.total > 1)) ?? most(nodes);
}

function readPlace(text: string | null): Place | null {
  const [, step, index] = /^(\d{1,15})-(\d{1,15})$/.exec(text ?? "") ?? [];
  return step === undefined ? null : { step: Number(step), index: Number(index) };
}
