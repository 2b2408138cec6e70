import type { Run } from "../../http/api.ts";
import { path } from "../client.ts";
import { type Command, command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { paint, print, styleOf } from "../terminal.ts";
import { clean } from "../text.ts";

// What is asked of a run by one word.

export const retry = command({
  name: "retry",
  takes: ["<id>"],
  about: "Run again what has failed in a finished run; results are kept",
  details: "With --item only that: the others that have failed stay as they are, if their node tolerates that.",
  flags: { item: { value: "STEP-INDEX", about: "Only these failed items, as `items` names them: 1-0,1-7" } },
  example: 'npx pocketflare retry "$run"',
  async run({ api, words: [id = ""], given: { item }, isJson }) {
    const body = item === undefined ? undefined : JSON.stringify({ items: item.split(",").map(readItem) });
    await show(await api.send<Run>("POST", `${path("runs", id)}/retry`, body), isJson);
  },
});
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
      await show(await api.send<Run>("POST", `${path("runs", id)}/${name}`), isJson);
    },
  });
}

async function show(run: Run, isJson: boolean): Promise<void> {
  await print(isJson ? JSON.stringify(run) : `${clean(run.id)} ${paint(styleOf(run.status), clean(run.status))}`);
}

function readItem(text: string): { step: number; index: number } {
  const [, step, index] = /^(\d{1,15})-(\d{1,15})$/.exec(text.trim()) ?? [];
  if (step && index) return { step: Number(step), index: Number(index) };
  throw new UsageError(
    `Expected \`--item\` to be items such as 1-0,1-7, got \`${text}\``,
    "`pocketflare items` names them",
  );
}
