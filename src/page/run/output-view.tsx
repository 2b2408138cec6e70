import { useEffect, useState } from "preact/hooks";
import type { Run } from "../../http/api.ts";
import { get, path } from "../api.ts";
import { Value } from "../parts/value.tsx";
import { isTerminal } from "./merge.ts";
import type { ViewProps } from "./run-page.tsx";

/** What a run has made, and of what. */
export function OutputView({ id, live }: ViewProps) {
  const run = live.run.value;
  if (!run) return null;
  return (
    <>
      <h2>Output</h2>
      {run.status === "completed" ? (
        <Read key={run.finishedAt} where={path("runs", id)} label="Output" of={(answer) => (answer as Run).output} />
      ) : (
        <p class="soft">
          {isTerminal(run)
            ? `A run that is ${run.status} has no output; its results are with its items.`
            : "There is none before the run has completed."}
        </p>
      )}
      <h2>Input</h2>
      <Read where={`${path("runs", id)}/input`} label="Input" of={(answer) => answer} />
    </>
  );
}

function Read({ where, label, of }: { where: string; label: string; of(answer: unknown): unknown }) {
  const [read, setRead] = useState<{ value: unknown } | { problem: string } | null>(null);
  useEffect(() => {
    const end = new AbortController();
    get<unknown>(where, end.signal).then(
      (answer) => setRead({ value: of(answer) }),
      (error: Error) => !end.signal.aborted && setRead({ problem: error.message }),
    );
    return () => end.abort();
  }, [where]);
  if (read === null) return <p class="soft">Loading…</p>;
  return "problem" in read ? <p class="warning">{read.problem}</p> : <Value value={read.value} label={label} />;
}
