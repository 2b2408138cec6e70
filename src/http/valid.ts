import type { MiddlewareHandler } from "hono";
import * as v from "valibot";
import { pointerTo } from "../core/schema.ts";
import { type BodyError, MOST_ERRORS, Problem } from "./problem.ts";

type AnySchema = v.GenericSchema<unknown, unknown>;
type Checks<K extends string, S extends AnySchema> = MiddlewareHandler<
  object,
  string,
  { in: { [_ in K]: v.InferInput<S> }; out: { [_ in K]: v.InferOutput<S> } }
>;

/** One fault each is enough. */
const ONE_EACH = { abortPipeEarly: true } as const;
const LONGEST_SHOWN = 64;

/** Reads the query by a schema, for the handler to find with `context.req.valid("query")`. */
export function query<S extends AnySchema>(schema: S): Checks<"query", S> {
  return (context, next) => {
    const given = context.req.query();
    const { success, issues, output } = v.safeParse(schema, given, ONE_EACH);
    if (!success) throw new Problem(400, messageOf(issues[0], given));
    context.req.addValidatedData("query", output as object);
    return next();
  };
}

function messageOf({ path, message }: v.BaseIssue<unknown>, given: Record<string, string>): string {
  const name = String(path?.[0]?.key);
  return `Expected \`${name}\` ${message}, got \`${(given[name] ?? "").slice(0, LONGEST_SHOWN)}\``;
}

/** Says what bodies a call takes, for its typed client. They are checked by the handler itself, which reads them. */
export function takes<T>(): MiddlewareHandler<object, string, { in: { json: T }; out: { json: T } }> {
  return (_, next) => next();
}

/** Checks a body by the schema of an object, which may have no other keys. Throws a problem that names all that is wrong in it. */
export function checkBody<S extends AnySchema & { pipe: readonly [{ entries: object }, ...unknown[]] }>(
  schema: S,
  body: unknown,
): v.InferOutput<S> {
  const isObject = typeof body === "object" && body !== null && !Array.isArray(body);
  const { issues = [], output } = v.safeParse(schema, isObject ? body : null, ONE_EACH);
  const known = Object.keys(schema.pipe[0].entries);
  const unknown = isObject ? Object.keys(body).filter((key) => !known.includes(key)) : [];
  const errors = [...errorsOf(issues), ...unknown.map((key) => unknownKey(key, known))].slice(0, MOST_ERRORS);
  const [first] = errors;
  if (first) throw new Problem(422, first.detail, errors);
  return output;
}

function unknownKey(key: string, known: readonly string[]): BodyError {
  const detail = `Expected only ${known.join(", ")}, got \`${key.slice(0, LONGEST_SHOWN)}\``;
  return { pointer: pointerTo([key]), detail };
}

function errorsOf(issues: readonly v.BaseIssue<unknown>[]): BodyError[] {
  return issues.map(({ path = [], message }) => ({
    pointer: pointerTo(path.map(({ key }) => String(key))),
    detail: message,
  }));
}
