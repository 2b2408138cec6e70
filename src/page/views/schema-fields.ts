/** What a form asks for, as a flow's JSON Schema tells it. */
export type Field = FieldOf & { about: string; initial: unknown };
type FieldOf =
  | { kind: "text" | "number" }
  | { kind: "choice"; choices: readonly unknown[] }
  /** A list of texts, one in each line. */
  | { kind: "lines" }
  | { kind: "object"; parts: readonly Part[] }
  /** What no form can draw is written as JSON. */
  | { kind: "json" };

export interface Part {
  name: string;
  isRequired: boolean;
  field: Field;
}

type Schema = { readonly [word: string]: unknown };

const DEEPEST = 3;
/** What says more than a field can: which of several, under which condition, or somewhere else. */
const BRANCHING = [
  "allOf",
  "anyOf",
  "oneOf",
  "not",
  "if",
  "patternProperties",
  "dependentSchemas",
  "prefixItems",
  "$ref",
];
/** What else is asked of a value. The API refuses what is not so. */
const HINT = /^(format|pattern|multipleOf|(exclusive)?(min|max)\w+)$/i;

/**
 * The field that a schema describes.
 *
 * @example fieldOf({ type: "object", properties: { texts: { type: "array", items: { type: "string" } } } });
 */
export function fieldOf(given: unknown, depth = 0): Field {
  const schema = isSchema(given) ? given : {};
  return { ...shapeOf(schema, depth), about: aboutOf(schema), initial: schema["default"] };
}

function shapeOf(schema: Schema, depth: number): FieldOf {
  const { type, properties, items } = schema;
  const choices = choicesOf(schema);
  if (choices) return { kind: "choice", choices };
  if (BRANCHING.some((word) => Object.hasOwn(schema, word))) return { kind: "json" };
  if (type === "string") return { kind: "text" };
  if (type === "number" || type === "integer") return { kind: "number" };
  if (type === "array" && isSchema(items) && shapeOf(items, DEEPEST).kind === "text") return { kind: "lines" };
  if (type === "object" && depth < DEEPEST && isSchema(properties) && Object.keys(properties).length > 0)
    return { kind: "object", parts: partsOf(schema, properties, depth) };
  return { kind: "json" };
}

/** A constant is a choice of one. */
function choicesOf(schema: Schema): readonly unknown[] | undefined {
  if (Object.hasOwn(schema, "const")) return [schema["const"]];
  if (schema["type"] === "boolean") return [true, false];
  return Array.isArray(schema["enum"]) ? schema["enum"] : undefined;
}

function partsOf({ required }: Schema, properties: Schema, depth: number): readonly Part[] {
  const names = Array.isArray(required) ? required : [];
  return Object.entries(properties).map(([name, part]) => {
    return { name, isRequired: names.includes(name), field: fieldOf(part, depth + 1) };
  });
}

function aboutOf(schema: Schema): string {
  const hints = Object.entries(schema).filter(([word]) => HINT.test(word));
  return [schema["description"], ...hints.map((hint) => hint.join(" "))].filter(Boolean).join(" · ");
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
