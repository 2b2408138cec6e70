import { differences, type GraphShape } from "./graph.ts";
import type { Step } from "./run.ts";

/** What of a step tells where its walk may still lead. */
type Place = Pick<Step, "node" | "phase" | "branches" | "begun">;

/**
 * What differs between the graph that a run began with and the one that its flow has now, a sentence each, in what the run still has
 * to do: the nodes it is at, those that are reached from there, and where all these lead. What lies behind it may change.
 */
export function changesAhead(before: GraphShape, after: GraphShape, steps: readonly Place[]): string[] {
  const ahead = new Ahead();
  for (const shape of [before, after]) ahead.follow(shape, steps);
  return differences(ahead.partOf(before), ahead.partOf(after));
}

/** The nodes that a run is at or may come to, and the flows among them that it may begin. */
class Ahead {
  readonly #nodes = new Set<string>();
  readonly #begun = new Set<string>();

  /** From where a run stands, as one graph has it; from the root where the run has not begun. */
  follow({ root, nodes, edges }: GraphShape, steps: readonly Place[]): void {
    const starts = new Map(nodes.map(({ id, start }) => [id, start]));
    const successors = Map.groupBy(edges, ({ from }) => from);
    const found = steps.length === 0 ? this.#come(root, starts) : steps.flatMap((step) => this.#stand(step, starts));
    const seen = new Set<string>();
    for (let id = found.pop(); id !== undefined; id = found.pop()) {
      if (seen.has(id)) continue;
      seen.add(id);
      this.#nodes.add(id);
      for (const { to } of successors.get(id) ?? []) found.push(...this.#come(to, starts));
    }
  }

  /** What of a graph lies ahead. Where a flow that is under way has begun lies behind. */
  partOf({ root, nodes, edges }: GraphShape): GraphShape {
    return {
      root,
      nodes: nodes.flatMap(({ start, ...node }) => {
        if (!this.#nodes.has(node.id)) return [];
        return start !== undefined && this.#begun.has(node.id) ? { ...node, start } : node;
      }),
      edges: edges.filter(({ from }) => this.#nodes.has(from)),
    };
  }

  /** A walk comes to a node: if that is a flow to its start too, and so on. */
  #come(id: string, starts: ReadonlyMap<string, string | undefined>): string[] {
    const found = [id];
    for (let start = starts.get(id); start !== undefined && !found.includes(start); start = starts.get(start)) {
      this.#begun.add(found.at(-1) as string);
      found.push(start);
    }
    return found;
  }

  #stand({ node, phase, branches, begun }: Place, starts: ReadonlyMap<string, string | undefined>): string[] {
    const isToBegin = phase === "prep" || (phase === "exec" && begun < branches);
    return isToBegin ? this.#come(node, starts) : [node];
  }
}
