import { useId, useState } from "preact/hooks";
import type { RunOutline } from "../../http/api.ts";
import { path, send } from "../api.ts";
import { attempt, say } from "../parts/notes.tsx";
import { Time } from "../parts/time.tsx";
import type { RunLive } from "./live.ts";
import { isTerminal } from "./merge.ts";

type Wait = RunOutline["waitsFor"][number];

interface Props {
  run: RunOutline;
  live: RunLive;
}

const MOST_SHOWN = 20;

/** The signals and times that nodes of a run wait for. */
export function Waits({ run, live }: Props) {
  const { waitsFor, status, resumesAt } = run;
  if (isTerminal(run) || waitsFor.length === 0) return null;
  const names = [...new Set(waitsFor.flatMap(({ signal }) => signal ?? []))];
  return (
    <section class="waits" aria-label="What it waits for">
      {status === "waiting" && resumesAt !== null && waitsFor.length > 1 && (
        <p>
          Goes on at the latest at <Clock at={resumesAt} />
        </p>
      )}
      <ul>
        {waitsFor.slice(0, MOST_SHOWN).map((wait) => (
          <WaitLine key={`${wait.step} ${wait.signal}`} wait={wait} />
        ))}
        {waitsFor.length > MOST_SHOWN && <li>and {waitsFor.length - MOST_SHOWN} more</li>}
      </ul>
      {names.map((name) => (
        <SignalForm key={name} id={run.id} name={name} live={live} />
      ))}
    </section>
  );
}

function WaitLine({ wait: { node, branch, signal, until } }: { wait: Wait }) {
  return (
    <li>
      <bdi>{node}</bdi>
      {branch && ` in branch ${branch}`} waits{" "}
      {signal !== null && (
        <>
          for the signal{" "}
          <b>
            <bdi>{signal}</bdi>
          </b>{" "}
        </>
      )}
      {until !== null && (
        <>
          until <Clock at={until} />
        </>
      )}
    </li>
  );
}

/** A time of today or another day, and how far it is. */
export function Clock({ at }: { at: string }) {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date().toDateString();
  return (
    <>
      {isToday ? date.toLocaleTimeString() : date.toLocaleString()} (<Time at={at} />)
    </>
  );
}

/** Sends a signal that the run waits for. */
function SignalForm({ id, name, live }: { id: string; name: string; live: RunLive }) {
  const [text, setText] = useState("{}");
  const [fault, setFault] = useState<string | null>(null);
  const field = useId();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const payload = parsed(text);
    setFault(payload ? null : 'Expected JSON, such as { "approved": true }');
    if (!payload) return;
    const answer = await attempt(() =>
      send<object>("POST", `${path("runs", id)}/signals/${encodeURIComponent(name)}`, payload.value),
    );
    if (!answer) return;
    say(`The signal ${name} was sent.`);
    void live.refresh();
  };
  return (
    <details class="signal">
      <summary>
        Send <bdi>{name}</bdi>…
      </summary>
      <form onSubmit={submit}>
        <label for={field}>Payload, as JSON</label>
        <textarea
          id={field}
          rows={4}
          spellcheck={false}
          aria-invalid={fault !== null}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        {fault && (
          <p class="warning" role="alert">
            {fault}
          </p>
        )}
        <button type="submit">Send the signal</button>
      </form>
    </details>
  );
}

function parsed(text: string): { value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}
