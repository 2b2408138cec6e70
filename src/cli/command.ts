import type { Flags, Given, GLOBAL_FLAGS } from "./args.ts";
import type { Api } from "./client.ts";

/** What a command is run with. */
export interface Call<F extends Flags> {
  /** What stands behind the command's name: as many words as it needs are there. */
  words: readonly string[];
  given: Given<F & typeof GLOBAL_FLAGS>;
  isJson: boolean;
  api: Api;
}

export interface CommandOf<F extends Flags> {
  /** One word or two. */
  name: string;
  /** What stands behind it: `<id>` must be there, `[name]` may. */
  takes: readonly string[];
  about: string;
  /** More than fits into a line. */
  details?: string;
  flags: F;
  /** A line for a shell. `$run` in it is the id of a run. */
  example: string;
  /** Gives the exit code; none stands for 0. */
  run(call: Call<F>): Promise<number | void>;
}

/** A command, whatever its flags are. */
export interface Command extends Omit<CommandOf<Flags>, "run"> {
  run(call: Call<never>): Promise<number | void>;
  /** Gets all that stands behind its name as it is, unless that is `--help`: another program's flags are among it. */
  runAsIs?(args: readonly string[]): Promise<number>;
}

/** Describes a command: from its flags follows what `run` is given. */
export function command<const F extends Flags>(described: CommandOf<F>): Command {
  return described as unknown as Command;
}
