import { useState } from "preact/hooks";
import type { Limit } from "../../http/api.ts";
import { path, send, urlOf } from "../api.ts";
import { Curl } from "../parts/code.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { type Fault, faultAt } from "../parts/faults.ts";
import { FaultList, Field, faultsOf } from "../parts/field.tsx";
import { say } from "../parts/notes.tsx";
import { BOUNDS, type Bound, periodText, readChange } from "./limit-change.ts";

const LABELS: { [bound in Bound]: string } = {
  requests: "Requests per period",
  tokens: "Tokens per period",
  periodMs: "Period: seconds, or 1m, 2h",
  concurrency: "In flight at once",
};

interface Props {
  limit: Limit;
  /** The key that is changed; null for all. */
  of: string | null;
  onChange(limit: Limit): void;
  onClose(): void;
}

/** Changes a limit while runs go on. */
export function LimitForm({ limit, of, onChange, onClose }: Props) {
  const [texts, setTexts] = useState({ requests: "", tokens: "", periodMs: "", concurrency: "" });
  const [faults, setFaults] = useState<readonly Fault[]>([]);
  const read = readChange(texts);
  const body = of === null ? read.change : { key: of, ...read.change };
  const where = path("limits", limit.name);
  const save = async (event: Event) => {
    event.preventDefault();
    setFaults(read.faults);
    if (read.faults.length > 0) return;
    try {
      onChange(await send<Limit>("PATCH", where, body));
      say(`${limit.name} is changed`);
      onClose();
    } catch (error) {
      setFaults(faultsOf(error));
    }
  };
  return (
    <Dialog title={`Change ${limit.name}`} onClose={onClose}>
      <form onSubmit={save} noValidate>
        <p>
          For {of === null ? "all keys" : <bdi class="mono">{of || "all"}</bdi>}, at once, until a reset. What is empty
          stays as it is.
        </p>
        <FaultList faults={faults} />
        {BOUNDS.map((bound) => (
          <Field
            key={bound}
            label={LABELS[bound]}
            fault={faultAt(faults, `/${bound}`)}
            control={(attributes) => (
              <input
                {...attributes}
                autocomplete="off"
                value={texts[bound]}
                placeholder={boundNow(limit, of, bound)}
                onInput={(event) => setTexts({ ...texts, [bound]: event.currentTarget.value })}
              />
            )}
          />
        ))}
        <Curl call={{ method: "PATCH", url: urlOf(where), body: JSON.stringify(body) }} />
        <div class="buttons">
          <button type="submit" class="primary">
            Save
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** What holds now for a key; nothing is said of several. */
function boundNow({ keys }: Limit, of: string | null, bound: Bound): string {
  const value = keys.find(({ key }) => key === (of ?? ""))?.[bound];
  if (value === undefined) return "";
  if (value === null) return "no bound";
  return `now ${bound === "periodMs" ? periodText(value) : value}`;
}
