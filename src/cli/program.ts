import { VERSION } from "../version.ts";
import { type Flags, GLOBAL_FLAGS, type Parsed, parse } from "./args.ts";
import { Api, DEFAULT_URL } from "./client.ts";
import type { Call, Command } from "./command.ts";
import { commands } from "./commands/index.ts";
import { Failure, Interrupted, UsageError } from "./errors.ts";
import { helpOf, helpOfAll, usageOf } from "./help.ts";
import { didYouMean, nearest } from "./nearest.ts";
import { endQuietlyOnClosedPipe, paint, print, say } from "./terminal.ts";
import { clean } from "./text.ts";

/** All flags that there are, by which the command is found: it need not be the first word. */
const ALL_FLAGS: Flags = Object.assign({}, GLOBAL_FLAGS, ...commands.map(({ flags }) => flags));

/** Runs the command that the words and flags stand for, and gives the exit code. */
export async function program(args: readonly string[]): Promise<number> {
  endQuietlyOnClosedPipe();
  const secret: { token?: string | undefined } = { token: process.env["POCKETFLARE_TOKEN"] };
  try {
    return await dispatch(args, secret);
  } catch (error) {
    return report(error as Error, secret.token);
  }
}

async function dispatch(args: readonly string[], secret: { token?: string | undefined }): Promise<number> {
  const asIs = commands.find(({ name, runAsIs }) => runAsIs && name === args[0]);
  const isHelp = args.includes("--help") || args.includes("-h");
  if (asIs?.runAsIs && !isHelp) return asIs.runAsIs(args.slice(1));
  const rough = parse(args, asIs ? GLOBAL_FLAGS : ALL_FLAGS);
  if (rough.given["version"]) return told(VERSION);
  const isWord = rough.words[0] === "help";
  const words = isWord ? rough.words.slice(1) : rough.words;
  if (words.length === 0) return told(helpOfAll(commands));
  const command = find(words);
  if (isWord || rough.given["help"]) return told(helpOf(command));
  const parsed = parse(args, { ...GLOBAL_FLAGS, ...command.flags });
  if (typeof parsed.given["token"] === "string") secret.token = parsed.given["token"];
  return (await command.run(callOf(command, parsed, secret.token))) ?? 0;
}

async function told(text: string): Promise<number> {
  await print(text);
  return 0;
}

/** The command with the most of the first words as its name. */
function find(words: readonly string[]): Command {
  const found = [words.slice(0, 2).join(" "), words[0]].map((name) => commands.find((each) => each.name === name));
  const command = found[0] ?? found[1];
  if (command) return command;
  const names = commands.map(({ name }) => name);
  const hint = didYouMean(words[0] as string, names) ?? "npx pocketflare --help lists the commands";
  throw new UsageError(`There is no command \`${words[0]}\``, hint);
}

function callOf(command: Command, { words, given }: Parsed, token: string | undefined): Call<never> {
  const rest = words.slice(command.name.split(" ").length);
  const missing = command.takes.filter((each) => each.startsWith("<"))[rest.length];
  if (missing) throw new UsageError(`Expected ${missing}`, `Usage: ${usageOf(command)}`);
  if (rest.length > command.takes.length) {
    throw new UsageError(
      `Expected nothing behind \`${rest[command.takes.length - 1] ?? command.name}\``,
      longerThan(command, rest[0] as string) ?? `Usage: ${usageOf(command)}`,
    );
  }
  const url = given["url"] ?? (process.env["POCKETFLARE_URL"] || DEFAULT_URL);
  return {
    words: rest,
    given: given as Call<never>["given"],
    isJson: given["json"] === true,
    api: new Api(String(url), token || undefined),
  };
}

/** Asks whether a command was meant of which this one's name is the first word, and the next one is mistyped. */
function longerThan({ name }: Command, typed: string): string | null {
  const second = commands.flatMap((each) =>
    each.name.startsWith(`${name} `) ? [each.name.slice(name.length + 1)] : [],
  );
  const meant = nearest(typed, second);
  return meant === undefined ? null : `Did you mean \`${name} ${meant}\`?`;
}

/** Says what went wrong, and gives the exit code that stands for it. A server may have repeated the token. */
function report(error: Error, token: string | undefined): number {
  if (error instanceof Interrupted) {
    say(error.message);
    return 130;
  }
  const isKnown = error instanceof UsageError || error instanceof Failure;
  const words = isKnown ? [error.message, ...(error.hint ? [error.hint] : [])].join("\n") : String(error.stack);
  const lines = words.split("\n").map((line) => line.slice(0, line.search(/\S|$/)) + clean(line.trimStart()));
  const [first = "", ...more] = token ? lines.map((line) => line.replaceAll(token, "***")) : lines;
  say([paint("red", `Error: ${first}`, process.stderr), ...more].join("\n"));
  return error instanceof UsageError ? 2 : 1;
}
