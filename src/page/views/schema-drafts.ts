import type { Fault } from "../parts/faults.ts";
import type { Field } from "./schema-fields.ts";

/**
 * What stands in the fields of a form: a text for each; for an object what its parts hold, in their order. Names are never keys
 * here: `__proto__` may be one.
 */
export type Draft = string | readonly Draft[];

/** The draft of a value; what a field cannot hold is lost: see `holds`. */
export function draftOf(field: Field, value: unknown): Draft {
  switch (field.kind) {
    case "object":
      return field.parts.map((part) => draftOf(part.field, partOf(value, part.name)));
    case "choice":
      return String(field.choices.findIndex((choice) => canonical(choice) === canonical(value))).replace("-1", "");
    case "lines":
      return Array.isArray(value) ? value.join("\n") : "";
    case "json":
      return value === undefined ? "" : JSON.stringify(value, null, 2);
    default:
      return value === undefined ? "" : String(value);
  }
}

/** A draft of nothing but the defaults. */
export function emptyDraft(field: Field): Draft {
  if (field.initial !== undefined || field.kind !== "object") return draftOf(field, field.initial);
  return field.parts.map((part) => emptyDraft(part.field));
}

/** The JSON value that a draft stands for, and what is wrong in it. What is empty and may be missing is missing. */
export function readDraft(field: Field, draft: Draft): { value: unknown; faults: Fault[] } {
  const faults: Fault[] = [];
  return { value: read(field, draft, true, "", faults), faults };
}

/** Whether a form shows all of a value, so that nothing of it is lost. */
export function holds(field: Field, value: unknown): boolean {
  try {
    const { value: shown, faults } = readDraft(field, draftOf(field, value));
    return faults.length === 0 && canonical(shown) === canonical(value);
  } catch {
    return false; // Too deep.
  }
}

/** The pointer to a part of what a pointer is to. */
export function pointerIn(pointer: string, name: string): string {
  return `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

function read(field: Field, draft: Draft, isRequired: boolean, pointer: string, faults: Fault[]): unknown {
  if (field.kind === "object") {
    const isLeft = !isRequired && JSON.stringify(draft) === JSON.stringify(emptyDraft(field));
    return isLeft ? undefined : readObject(field, draft as readonly Draft[], pointer, faults);
  }
  const text = draft as string;
  if (text === "" && !isRequired) return undefined;
  try {
    return readText(field, text);
  } catch (error) {
    faults.push({ pointer, detail: (error as Error).message });
    return undefined;
  }
}

function readObject({ parts }: Field & { kind: "object" }, drafts: readonly Draft[], at: string, faults: Fault[]) {
  const values = parts.map(({ name, isRequired, field }, place): [string, unknown] => {
    return [name, read(field, drafts[place] ?? "", isRequired, pointerIn(at, name), faults)];
  });
  return Object.fromEntries(values.filter(([, value]) => value !== undefined));
}

/** Throws for what is no such value. */
function readText(field: Exclude<Field, { kind: "object" }>, text: string): unknown {
  if (field.kind === "text") return text;
  if (field.kind === "lines") return text === "" ? [] : text.split("\n");
  if (text.trim() === "") throw new Error("Expected a value, got nothing");
  if (field.kind === "choice") return field.choices[Number(text)];
  if (field.kind === "json") return JSON.parse(text);
  if (!Number.isFinite(Number(text))) throw new Error(`Expected a number, got ${text.slice(0, 64)}`);
  return Number(text);
}

function partOf(value: unknown, name: string): unknown {
  const isHeld = typeof value === "object" && value !== null && Object.hasOwn(value, name);
  return isHeld ? (value as { [name: string]: unknown })[name] : undefined;
}

/** The same text for values that differ in nothing but the order of their keys. */
function canonical(value: unknown): string | undefined {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
