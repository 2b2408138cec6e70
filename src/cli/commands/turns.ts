import type { Run } from "../../http/api.ts";
import { path } from "../client.ts";
import { type Command, command } from "../command.ts";
import { paint, print, styleOf } from "../terminal.ts";
import { clean } from "../text.ts";

// What is asked of a run by one word.

export const retry = turn("retry", "Run again what has failed in a finished run; results are kept");
export const cancel = turn("cancel", "End a run: nothing more begins, results are kept");
export const pause = turn("pause", "Let nothing more of a run begin until it is resumed");
export const resume = turn("resume", "Let a paused run go on");

function turn(name: string, about: string): Command {
  return command({
    name,
    takes: ["<id>"],
    about,
    flags: {},
    example: `npx pocketflare ${name} "$run"`,
    async run({ api, words: [id = ""], isJson }) {
      const run = await api.send<Run>("POST", `${path("runs", id)}/${name}`);
      await print(isJson ? JSON.stringify(run) : `${clean(run.id)} ${paint(styleOf(run.status), clean(run.status))}`);
    },
  });
}
