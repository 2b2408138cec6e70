import type { BaseIssue } from "valibot";
import { describeType } from "../src/core/errors.ts";

const LONGEST_SHOWN = 40;

type Message = (issue: BaseIssue<unknown>) => string;

/**
 * A schema's message for a value that is not as it should be: what was expected, and what came. It names the place itself, since
 * valibot adds the path to an issue only later.
 *
 * @example v.parse(v.string(expected("`name` to be a string")), 2); // Expected `name` to be a string, got a number
 */
export function expected(what: string): Message {
  return (issue) => `Expected ${what}, got ${shown(issue.input)}`;
}

/**
 * The message of an object schema that has one entry which must be there: valibot asks the object for it where that entry is
 * missing.
 *
 * @example v.parse(v.object({ name: v.string() }, expectedEntry("`name` to be a string")), {}); // …, got undefined
 */
export function expectedEntry(what: string): Message {
  return (issue) => expected(issue.path ? what : "the input to be an object")(issue);
}

/** A string may be a whole text: only a short one is shown. */
function shown(value: unknown): string {
  if (typeof value !== "string") return describeType(value);
  return value.length <= LONGEST_SHOWN ? `\`${value}\`` : `a string of ${value.length} characters`;
}
