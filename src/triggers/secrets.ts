import { describeType } from "../core/errors.ts";

/**
 * What messages are signed with. Several while one takes the place of another. What is undefined or empty, as a variable is that
 * nobody has set, is no secret.
 */
export type Secrets = string | undefined | readonly (string | undefined)[];

/** Those that are set. `owner` is what has them as its `secret`. */
export function secretsOf(owner: string, secrets: Secrets): string[] {
  const list: readonly (string | undefined)[] = Array.isArray(secrets) ? secrets : [secrets as string | undefined];
  const wrong = list.find((secret) => secret !== undefined && typeof secret !== "string");
  if (wrong !== undefined) {
    throw new TypeError(`Expected \`secret\` of \`${owner}\` to be a string or several, got ${describeType(wrong)}`);
  }
  return list.filter((secret) => secret !== undefined && secret !== "") as string[];
}
