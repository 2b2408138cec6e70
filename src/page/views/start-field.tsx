import { type Fault, faultAt } from "../parts/faults.ts";
import { Field } from "../parts/field.tsx";
import { type Draft, pointerIn } from "./schema-drafts.ts";
import type { Part } from "./schema-fields.ts";

interface Props {
  draft: Draft;
  /** The JSON pointer to it. */
  pointer: string;
  faults: readonly Fault[];
  onDraft(draft: Draft): void;
}

/** The parts of an object, one under the other. */
export function Parts({ parts, draft, pointer, faults, onDraft }: Props & { parts: readonly Part[] }) {
  const drafts = draft as readonly Draft[];
  return parts.map((part, place) => (
    <PartView
      key={part.name}
      part={part}
      draft={drafts[place] ?? ""}
      pointer={pointerIn(pointer, part.name)}
      faults={faults}
      onDraft={(draft) => onDraft(drafts.with(place, draft))}
    />
  ));
}

function PartView({ part, ...props }: Props & { part: Part }) {
  const { name, isRequired, field } = part;
  const label = (
    <>
      <bdi>{name || "(empty name)"}</bdi>
      {isRequired && <span class="soft"> required</span>}
    </>
  );
  if (field.kind === "object") {
    return (
      <fieldset>
        <legend>{label}</legend>
        <p class="soft">{field.about}</p>
        <Parts {...props} parts={field.parts} />
      </fieldset>
    );
  }
  const { kind, about } = field;
  const value = props.draft as string;
  const onInput = (event: { currentTarget: { value: string } }) => props.onDraft(event.currentTarget.value);
  const control = (attributes: object) => {
    const shared = { ...attributes, value, onInput };
    if (kind === "number") return <input {...shared} inputMode="decimal" autocomplete="off" />;
    if (kind !== "choice")
      return <textarea {...shared} rows={kind === "text" ? 1 : 3} dir="auto" placeholder={SAID[kind]} />;
    return (
      <select {...shared}>
        <option value="">–</option>
        {field.choices.map((choice, index) => (
          <option key={index} value={index}>
            {typeof choice === "string" ? choice : JSON.stringify(choice)}
          </option>
        ))}
      </select>
    );
  };
  return <Field label={label} about={about} fault={faultAt(props.faults, props.pointer)} control={control} />;
}

const SAID = { text: "", lines: "One in each line", json: "JSON" };
