import type { Flow, ItemStatus, NodeProgress, RunOutline } from "../../http/api.ts";
import { number } from "../parts/format.ts";
import { Bar, Chip } from "../parts/status.tsx";
import type { Box } from "./layout.ts";

interface Props {
  node: Flow["nodes"][number];
  box: Box;
  /** Nothing before the first news, or without a run. */
  progress: NodeProgress | undefined;
  run: RunOutline | undefined;
  /** Whether it is what the run is of. */
  isRoot: boolean;
  onPick: ((node: string) => void) | undefined;
}

/** A node, or a flow around what is inside it: a button that tells how far it is. */
export function NodeBox({ node, box, progress, run, isRoot, onPick }: Props) {
  const isFlow = node.start !== undefined;
  const isCurrent = run?.finishedAt === null && (progress?.open ?? 0) > 0;
  const status = run && (isRoot ? run.status : statusOf(node.id, progress, run, isCurrent));
  const counts = countsOf(progress);
  const kind = [node.kind.replaceAll("-", " "), ...(node.limit ?? []).map((name) => `limit ${name}`)].join(" · ");
  return (
    <g class={`${isFlow ? "flow" : "node"} ${status ?? "pending"}${isCurrent ? " current" : ""}`}>
      <rect x={box.x} y={box.y} width={box.width} height={box.height} rx="8" />
      <foreignObject x={box.x} y={box.y} width={box.width} height={isFlow ? 56 : box.height}>
        <button type="button" disabled={!onPick} onClick={() => onPick?.(node.id)}>
          <span class="node-name" title={node.id}>
            <bdi>{node.id}</bdi>
          </span>
          <span class="node-kind" title={kind}>
            <bdi>{kind}</bdi>
          </span>
          <span class="node-counts">
            {status && <Chip status={status} />}
            {counts[0]}
            <span class="hidden">{counts.slice(1).join(", ")}</span>
          </span>
          {!isFlow && progress && progress.items.total > 1 && (
            <span aria-hidden="true">
              <Bar items={progress.items} />
            </span>
          )}
        </button>
      </foreignObject>
      {isCurrent && <circle class="pulse" cx={box.x + box.width - 14} cy={box.y + 15} r="4.5" />}
    </g>
  );
}

function statusOf(id: string, progress: NodeProgress | undefined, run: RunOutline, isCurrent: boolean): ItemStatus {
  if (isCurrent) return isOnlyDeferred(progress) ? "deferred" : "running";
  if (run.error?.node === id || (progress?.items.failed ?? 0) > 0) return "failed";
  if (!progress || progress.steps === 0) return "pending";
  return progress.open > 0 || progress.items.canceled > 0 ? "canceled" : "succeeded";
}

function isOnlyDeferred(progress: NodeProgress | undefined): boolean {
  return progress !== undefined && progress.items.deferred > 0 && progress.items.running + progress.items.pending === 0;
}

/** How far a node is in words, what tells most first. */
function countsOf(progress: NodeProgress | undefined): string[] {
  if (!progress || progress.steps === 0) return [];
  const { steps, items } = progress;
  const settled = items.succeeded + items.failed + items.canceled;
  return [
    ...(items.total > 1 ? [`${number(settled)} / ${number(items.total)}`] : []),
    ...(steps > 1 ? [`${number(steps)} visits`] : []),
    ...(items.failed > 0 ? [`${number(items.failed)} failed`] : []),
  ];
}
