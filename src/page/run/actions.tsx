import type { Run, RunOutline } from "../../http/api.ts";
import { ask, BASE, path, send } from "../api.ts";
import { Copy } from "../parts/copy.tsx";
import { confirm } from "../parts/dialog.tsx";
import { number } from "../parts/format.ts";
import { attempt, say } from "../parts/notes.tsx";
import { save } from "../parts/save.ts";
import { go, linkTo } from "../route.ts";
import { curlOf } from "../views/curl.ts";
import type { RunLive } from "./live.ts";
import { isTerminal, settledOf } from "./merge.ts";

interface Props {
  run: RunOutline;
  live: RunLive;
}

const FORMATS = ["ndjson", "csv"];
const TURNS = { cancel: "canceling…", pause: "pausing…", resume: "resuming…", retry: "retrying…" };

/** What can be done with a run, as its status allows. */
export function Actions({ run, live }: Props) {
  const { id, status, items } = run;
  const isBusy = live.asked.value !== null;
  const isOver = isTerminal(run);
  const canRetry = isOver && (status !== "completed" || items.failed > 0);
  return (
    <div class="buttons" role="toolbar" aria-label="Actions">
      {!isOver && status === "paused" && <Act label="Resume" isBusy={isBusy} act={() => turn(live, id, "resume")} />}
      {!isOver && status !== "paused" && <Act label="Pause" isBusy={isBusy} act={() => turn(live, id, "pause")} />}
      {!isOver && <Act label="Cancel" isBusy={isBusy} isDanger act={() => cancel(live, run)} />}
      {canRetry && <Act label="Retry failed" isBusy={isBusy} act={() => retry(live, run)} />}
      <Act label="Rerun" isBusy={isBusy} act={() => rerun(live, run)} />
      {FORMATS.map((format) => (
        <Act key={format} label={`Download ${format.toUpperCase()}`} isBusy={isBusy} act={() => download(id, format)} />
      ))}
      <Copy
        text={() => curlOf({ method: "GET", url: `${location.origin}${BASE}${path("runs", id)}` })}
        label="Copy curl"
      />
      {isOver && <Act label="Delete" isBusy={isBusy} isDanger act={() => forget(live, run)} />}
    </div>
  );
}

function Act(props: { label: string; isBusy: boolean; isDanger?: boolean; act(): Promise<unknown> }) {
  return (
    <button
      type="button"
      class={props.isDanger ? "danger" : ""}
      disabled={props.isBusy}
      onClick={() => attempt(props.act)}
    >
      {props.label}
    </button>
  );
}

/** Shown as what is asked for, until the answer says what became of it. */
async function turn(live: RunLive, id: string, what: keyof typeof TURNS): Promise<void> {
  await live.ask(TURNS[what], async () => live.take(await send<Run>("POST", `${path("runs", id)}/${what}`)));
}

async function cancel(live: RunLive, { id, items }: RunOutline): Promise<void> {
  const open = items.total - settledOf(items);
  const text = `${open === 0 ? "No item is" : `${counted(open, "item")} of ${number(items.total)} are`} not settled. What is done is kept.`;
  if (await confirm({ title: "Cancel this run?", text, yes: "Cancel the run" })) await turn(live, id, "cancel");
}

async function retry(live: RunLive, { id, items }: RunOutline): Promise<void> {
  const what = items.failed > 0 ? counted(items.failed, "failed item") : "this run";
  const text = "What has a result is not executed again.";
  if (await confirm({ title: `Retry ${what}?`, text, yes: "Retry" })) await turn(live, id, "retry");
}

/** A new run of the same flow, with the input of this one. What that calls may cost as much once more. */
async function rerun(live: RunLive, { id, flow, items }: RunOutline): Promise<void> {
  const text = `This one has ${counted(items.total, "item")}: the new one executes all of its own.`;
  if (!(await confirm({ title: "Start a new run with the same input?", text, yes: "Rerun" }))) return;
  await live.ask("starting…", async () => {
    // As text: what it holds is for the flow alone.
    const body = await (await ask(`${path("runs", id)}/input`)).text();
    const headers = { "content-type": "application/json" };
    const run = (await (await ask(`${path("flows", flow)}/runs`, { method: "POST", headers, body })).json()) as Run;
    say("This is the new run.");
    go(linkTo(["runs", run.id]));
  });
}

async function forget(live: RunLive, { id, items }: RunOutline): Promise<void> {
  const text = `With it go its ${counted(items.total, "item")}, their results and its events.`;
  if (!(await confirm({ title: "Delete this run?", text, yes: "Delete the run" }))) return;
  await live.ask("deleting…", async () => {
    await send("DELETE", path("runs", id));
    say("The run was deleted.");
    go(linkTo(["runs"]));
  });
}

async function download(id: string, format: string): Promise<void> {
  save(`${id}.${format}`, await (await ask(`${path("runs", id)}/results?format=${format}`)).blob());
}

function counted(count: number, what: string): string {
  return `${number(count)} ${what}${count === 1 ? "" : "s"}`;
}
