import { type Flags, GLOBAL_FLAGS } from "./args.ts";
import type { Command } from "./command.ts";
import { paint } from "./terminal.ts";

/** What there is, a line for each command. */
export function helpOfAll(commands: readonly Command[]): string {
  return [
    "Starts, watches and steers the runs of a Pocketflare Worker.",
    "",
    head("Usage"),
    "  npx pocketflare <command> [arguments] [flags]",
    "",
    head("Commands"),
    ...columns(commands.map((each) => [synopsis(each), each.about])),
    "",
    head("Flags of every command"),
    ...columns(rowsOf(GLOBAL_FLAGS)),
    "",
    head("Environment"),
    ...columns([
      ["POCKETFLARE_URL", "Where the server is, instead of --url"],
      ["POCKETFLARE_TOKEN", "The server's API_TOKEN, instead of --token, which others on this machine can see"],
      ["NO_COLOR, FORCE_COLOR", "Colours never, or always"],
    ]),
    "",
    head("Exit codes"),
    ...columns([
      ["0", "All is well"],
      ["1", "The run that was waited for failed, was canceled or goes on; or the server refused, or did not answer"],
      ["2", "The command was not right"],
      ["130", "Ctrl-C: the run goes on"],
    ]),
    "",
    "npx pocketflare <command> --help explains one command.",
  ].join("\n");
}

export function helpOf(command: Command): string {
  const flags = Object.keys(command.flags).length > 0 ? [head("Flags"), ...columns(rowsOf(command.flags)), ""] : [];
  return [
    `${command.about}.`,
    ...(command.details ? ["", command.details] : []),
    "",
    head("Usage"),
    `  ${usageOf(command)}`,
    "",
    ...flags,
    head("Flags of every command"),
    ...columns(rowsOf(GLOBAL_FLAGS)),
    "",
    head("Example"),
    `  ${command.example}`,
  ].join("\n");
}

/** `npx pocketflare status <id> [flags]`. */
export function usageOf(command: Command): string {
  const flags = Object.keys(command.flags).length > 0 ? " [flags]" : "";
  return `npx pocketflare ${synopsis(command)}${flags}`;
}

function synopsis({ name, takes }: Command): string {
  return [name, ...takes].join(" ");
}

function head(text: string): string {
  return paint("bold", `${text}:`);
}

function rowsOf(flags: Flags): [string, string][] {
  return Object.entries(flags).map(([name, { value, about }]) => [value ? `--${name} ${value}` : `--${name}`, about]);
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
