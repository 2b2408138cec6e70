import { useMemo, useState } from "preact/hooks";
import type { Flow, Run } from "../../http/api.ts";
import { ask, path, urlOf } from "../api.ts";
import { Curl } from "../parts/code.tsx";
import type { Fault } from "../parts/faults.ts";
import { FaultList, Field, faultsOf } from "../parts/field.tsx";
import { say } from "../parts/notes.tsx";
import { go, linkTo } from "../route.ts";
import { jsonFault } from "./json-text.ts";
import { draftOf, emptyDraft, holds, readDraft } from "./schema-drafts.ts";
import { fieldOf } from "./schema-fields.ts";
import { Parts } from "./start-field.tsx";

/** Asks for a flow's input, and starts it. */
export function StartForm({ flow }: { flow: Flow }) {
  const field = useMemo(() => fieldOf(flow.input), [flow]);
  const [draft, setDraft] = useState(() => emptyDraft(field));
  const [text, setText] = useState("{}");
  const [isJson, setJson] = useState(field.kind !== "object");
  const [key, setKey] = useState("");
  const [faults, setFaults] = useState<readonly Fault[]>([]);
  const [isStarting, setStarting] = useState(false);

  const read = useMemo(() => (isJson ? undefined : readDraft(field, draft)), [isJson, field, draft]);
  const body = read ? JSON.stringify(read.value) : text;
  const textFault = useMemo(() => (isJson ? jsonFault(text) : null), [isJson, text]);
  const where = path("flows", flow.name, "runs");
  const headers: { [name: string]: string } = key === "" ? {} : { "idempotency-key": key };

  const toJson = () => {
    setText(read ? JSON.stringify(read.value, null, 2) : text);
    setJson(true);
  };
  const toForm = () => {
    const value: unknown = textFault === null ? JSON.parse(text) : undefined;
    if (!holds(field, value))
      return setFaults([{ pointer: "", detail: "The form cannot show all of this JSON, so it stays JSON." }]);
    setDraft(draftOf(field, value));
    setFaults([]);
    setJson(false);
  };
  const start = async (event: Event) => {
    event.preventDefault();
    const wrong = textFault === null ? (read?.faults ?? []) : [{ pointer: "", detail: textFault }];
    setFaults(wrong);
    if (isStarting || wrong.length > 0) return;
    setStarting(true);
    try {
      const init = { method: "POST", body, headers: { "content-type": "application/json", ...headers } };
      const response = await ask(where, init);
      const { id } = (await response.json()) as Run;
      if (response.headers.get("idempotent-replayed") === "true") say("This key has started that run before");
      go(linkTo(["runs", id]));
    } catch (error) {
      setStarting(false);
      setFaults(faultsOf(error));
    }
  };

  return (
    <form class="start" noValidate onSubmit={start} onInput={() => setFaults([])}>
      {field.kind === "object" ? (
        <div class="buttons">
          <button type="button" aria-pressed={!isJson} onClick={() => isJson && toForm()}>
            Form
          </button>
          <button type="button" aria-pressed={isJson} onClick={() => isJson || toJson()}>
            JSON
          </button>
        </div>
      ) : (
        <p class="soft">No form can be drawn for this flow's input.</p>
      )}
      <FaultList faults={faults} />
      {isJson || field.kind !== "object" ? (
        <Field
          label="The input as JSON"
          fault={textFault ?? undefined}
          control={(attributes) => (
            <textarea
              {...attributes}
              rows={14}
              spellcheck={false}
              value={text}
              onInput={(event) => setText(event.currentTarget.value)}
            />
          )}
        />
      ) : (
        <Parts parts={field.parts} draft={draft} pointer="" faults={faults} onDraft={setDraft} />
      )}
      <Field
        label="Idempotency key"
        about="The same key starts no second run."
        control={(attributes) => (
          <input
            {...attributes}
            autocomplete="off"
            value={key}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        )}
      />
      <div class="buttons">
        <button type="button" onClick={() => setKey(crypto.getRandomValues(new Uint32Array(4)).join("-"))}>
          Generate a key
        </button>
        <button type="submit" class="primary" disabled={isStarting}>
          ▶ Start
        </button>
      </div>
      <Curl call={{ method: "POST", url: urlOf(where), body, headers }} />
    </form>
  );
}
