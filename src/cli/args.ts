import { parseArgs } from "node:util";
import { UsageError } from "./errors.ts";
import { didYouMean } from "./nearest.ts";

/** A flag. One without a value is there or not; the value of one with `[SECONDS]` in brackets may be left out. */
export interface Flag {
  value?: string;
  about: string;
}

export interface Flags {
  readonly [name: string]: Flag;
}

/** What was given for flags: a text, or `true` for those without a value. */
export type Given<F extends Flags> = { readonly [K in keyof F]?: F[K] extends { value: string } ? string : true };

export const GLOBAL_FLAGS = {
  url: { value: "URL", about: "Where the server is, its base path included (default http://localhost:8787)" },
  token: { value: "TOKEN", about: "The server's API_TOKEN" },
  json: { about: "Print JSON for machines, and nothing else" },
  help: { about: "Explain the command" },
  version: { about: "Print the version" },
} as const satisfies Flags;

/** A command line taken apart: what stands by itself, and the flags. */
export interface Parsed {
  words: string[];
  given: { readonly [name: string]: string | true };
}

/** Throws for flags that there are not, and for values that are missing or too many. */
export function parse(args: readonly string[], flags: Flags): Parsed {
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, { value }]) => [
      name,
      { type: value ? ("string" as const) : ("boolean" as const) },
    ]),
  );
  const { tokens } = parseArgs({
    args: [...withOptionalValues(args, flags)],
    options: { ...options, help: { type: "boolean", short: "h" } },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const given: { [name: string]: string | true } = {};
  const words: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") words.push(token.value);
    if (token.kind === "option") given[token.name] = readValue(token, flags);
  }
  return { words, given };
}

interface OptionToken {
  name: string;
  rawName: string;
  value: string | undefined;
  inlineValue: boolean | undefined;
}

function readValue({ name, rawName, value, inlineValue }: OptionToken, flags: Flags): string | true {
  const flag = Object.hasOwn(flags, name) ? flags[name] : undefined;
  if (!flag) {
    const known = Object.keys(flags).map((each) => `--${each}`);
    throw new UsageError(`There is no flag \`${rawName}\` here`, didYouMean(rawName.replace(/^-*/, "--"), known));
  }
  if (flag.value === undefined) {
    if (value !== undefined) throw new UsageError(`Expected \`--${name}\` without a value, got one`);
    return true;
  }
  // `--input --wait`: the value was forgotten. `-` alone is one.
  const isForgotten = value === undefined || (!inlineValue && /^-./.test(value));
  if (isForgotten) throw new UsageError(`Expected a value: \`--${name} ${flag.value}\``);
  return value;
}

/** `--wait 5` and `--wait`, as the parser knows them: `--wait=5` and `--wait=`. */
function* withOptionalValues(args: readonly string[], flags: Flags): Generator<string> {
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string;
    const isOptional = arg.startsWith("--") && flags[arg.slice(2)]?.value?.startsWith("[");
    const value = isOptional && /^\d+(\.\d+)?$/.test(args[at + 1] ?? "") ? args[++at] : "";
    yield isOptional ? `${arg}=${value}` : arg;
  }
}

/** The whole number that a flag was given. */
export function wholeNumber(flag: string, text: string, least: number, most: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`Expected \`--${flag}\` to be a whole number from ${least} to ${most}, got \`${text}\``);
}
