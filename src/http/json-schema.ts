import { toJsonSchema } from "@valibot/to-json-schema";
import type { GenericSchema } from "valibot";
import type { StandardSchema } from "../core/schema.ts";

export type JsonSchema = Record<string, unknown>;

const DRAFT = { target: "draft-2020-12" } as const;

/** What is once it was read: of a parameter, the number and not the text. What JSON Schema has no words for is left out. */
export function outputSchema(schema: GenericSchema<unknown, unknown>): JsonSchema {
  return written(schema, "output");
}

/**
 * What a flow takes, by the schema of its author; nothing where the schema's library does not say, or the schema is of more than
 * JSON can hold. Valibot's own schemas do not say, but the library that says it for them is here anyway.
 */
export function inputSchema(schema: StandardSchema | undefined): JsonSchema | null {
  if (!schema) return null;
  const { jsonSchema, vendor } = schema["~standard"];
  try {
    if (jsonSchema) return jsonSchema.input(DRAFT);
    return vendor === "valibot" ? written(schema as unknown as GenericSchema<unknown, unknown>, "input") : null;
  } catch {
    return null;
  }
}

function written(schema: GenericSchema<unknown, unknown>, typeMode: "input" | "output"): JsonSchema {
  const { $schema: _, ...json } = toJsonSchema(schema, {
    ...{ ...DRAFT, typeMode, errorMode: "ignore" },
    ignoreActions: ["check"],
  });
  return json;
}
