import { ItemsView } from "../items/items-view.tsx";
import type { ViewProps } from "./run-page.tsx";

/** The items, once anything is known of the run. */
export function ItemsTab({ id, live }: ViewProps) {
  const run = live.run.value;
  return run && <ItemsView id={id} run={run} nodes={live.nodes.value} live={live} />;
}
