import { useState } from "preact/hooks";
import type { Run, RunSummary } from "../../http/api.ts";
import { path, send } from "../api.ts";
import { confirm } from "../parts/dialog.tsx";
import { number } from "../parts/format.ts";
import { attempt, say } from "../parts/notes.tsx";
import { isOpen, isRetriable } from "./runs-list.ts";

interface Props {
  chosen: RunSummary[];
  /** A run is as the API has answered. */
  onRun(run: RunSummary): void;
  onDone(): void;
}

/** What can be done with several runs at once. */
export function Bulk({ chosen, onRun, onDone }: Props) {
  const [doing, setDoing] = useState<string | null>(null);
  const turn = async (verb: "Cancel" | "Retry", runs: RunSummary[]) => {
    const yes = `${verb} ${runsOf(runs.length)}`;
    if (!(await confirm({ title: `${yes}?`, text: "What they have finished is kept.", yes }))) return;
    let turned = 0;
    for (const [at, { id }] of runs.entries()) {
      setDoing(`${verb} ${number(at + 1)} of ${number(runs.length)}…`);
      const run = await attempt(() => send<Run>("POST", path("runs", id, verb.toLowerCase())));
      if (!run) continue;
      onRun(run);
      turned++;
    }
    setDoing(null);
    say(`${verb}: ${number(turned)} of ${runsOf(runs.length)}`);
    onDone();
  };
  const button = (verb: "Cancel" | "Retry", runs: RunSummary[]) => (
    <button
      type="button"
      class={verb === "Cancel" ? "danger" : ""}
      disabled={runs.length === 0 || doing !== null}
      onClick={() => turn(verb, runs)}
    >
      {verb} {runsOf(runs.length)}
    </button>
  );
  return (
    <section class="bulk buttons" aria-label="With the chosen runs">
      <strong role="status">{doing ?? `${runsOf(chosen.length)} chosen`}</strong>
      {button("Cancel", chosen.filter(isOpen))}
      {button("Retry", chosen.filter(isRetriable))}
    </section>
  );
}

function runsOf(count: number): string {
  return `${number(count)} ${count === 1 ? "run" : "runs"}`;
}
