import type { BaseNode } from "./node.ts";
import { overlay } from "./overlay.ts";
import { isThenable } from "./turn.ts";

/** What a node told by `emit`. */
export interface Emitted {
  /** The `name` option of the node, or else its class's name. */
  node: string;
  /** Of the item whose exec told it by its context, from 0; null for what the node itself told. */
  index: number | null;
  /** As it was given, not a copy. */
  data: unknown;
}

/** What a run in memory may be told. */
export interface RunOptions {
  /**
   * Called at once with whatever a node of the run emits, those of nested flows and of all branches included. What it throws is
   * printed, and the run goes on. The node that is run is then seen through a proxy, hence without any fields named with `#`:
   * use TypeScript's `private`.
   *
   * @example await flow.run(shared, { onEmit: ({ node, data }) => console.log(node, data) });
   */
  onEmit?(event: Emitted): void;
  /**
   * Gives the payload of the signal that a `WaitForEvent` of the run waits for, once there is one. In a durable run whoever sends
   * the signal does. The node that is run is then seen through a proxy, as with `onEmit`.
   *
   * @example await flow.run(shared, { onWait: async (signal) => ({ approved: await ask(signal) }) });
   */
  onWait?(signal: string): unknown;
}

/** What messages call a node: its `name` option or else its class's name. */
export function nameOf(node: BaseNode): string {
  return node["_options"].name ?? (node.constructor.name || node["_kind"]);
}

/** The node as a run with a follower sees it: other runs of the same instance, at the same time, may have others. */
export function followed<T extends BaseNode>(node: T, options: RunOptions): T {
  const listening = options.onEmit ? withFollower(node, options) : node;
  return options.onWait ? overlay(listening, "_waiter", (signal: string) => options.onWait?.(signal)) : listening;
}

function withFollower<T extends BaseNode>(node: T, options: RunOptions): T {
  // Called as a method of each node that the walk hands it to, so that one function can name them all. A promise of onEmit's goes
  // back to `tell`, which looks after its failure.
  function follower(this: BaseNode, index: number | null, data: unknown): unknown {
    return options.onEmit?.({ node: nameOf(this), index, data });
  }
  return overlay(node, "_follower", follower);
}

/** Tells the follower of a node's run, if it has one. */
export function tell(node: BaseNode, index: number | null, data: unknown): void {
  try {
    const told: unknown = node["_follower"]?.(index, data);
    if (isThenable(told)) told.then(undefined, report);
  } catch (error) {
    report(error);
  }
}

/** What exec's `emit` does for one item; nothing where nobody follows, so that a call without a follower costs no function. */
export function teller(node: BaseNode, index: number): ((data: unknown) => void) | undefined {
  return node["_follower"] && ((data) => tell(node, index, data));
}

function report(error: unknown): void {
  console.error("What follows a run failed, and the run goes on:", error);
}
