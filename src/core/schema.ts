/**
 * A schema of any library that keeps to Standard Schema (https://standardschema.dev, version 1), such as zod 4, valibot and
 * arktype: written here as types, so that nobody's library is needed.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
    /** Of a schema that also keeps to Standard JSON Schema. */
    readonly jsonSchema?:
      | { readonly input: (options: { target: "draft-2020-12" }) => Record<string, unknown> }
      | undefined;
  };
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a schema makes of what it is given. */
export type OutputOf<S> = S extends StandardSchema<infer _, infer Output> ? Output : unknown;

/** Where in a value something is wrong, as a JSON pointer (RFC 6901). */
export function pointerTo(path: SchemaIssue["path"] = []): string {
  const keys = path.map((part) => (typeof part === "object" ? part.key : part));
  return keys.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}
