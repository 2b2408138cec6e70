import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import type { Run } from "../../http/api.ts";
import { path } from "../client.ts";
import { command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { print, say } from "../terminal.ts";
import { clean } from "../text.ts";
import { watch } from "../watch.ts";

export const start = command({
  name: "start",
  takes: ["<flow>"],
  about: "Start a run and print its id",
  details: "With --wait it is shown until it has ended, and what has come of it is printed instead of the id.",
  flags: {
    input: {
      value: "JSON",
      about: "What the flow takes: JSON, @file for a file with it, or - for standard input (default {})",
    },
    key: { value: "KEY", about: "An idempotency key: a start that is repeated with it is the same run" },
    wait: { value: "[SECONDS]", about: "Wait for its end, or so long" },
  },
  example: `run=$(npx pocketflare start summarize --input '{"texts":["The sun rose. It was red.","Rain fell all day."]}')`,
  async run({ api, words: [flow = ""], given, isJson }) {
    const waitMs = given.wait ? 1_000 * Number(given.wait) : undefined;
    if (Number.isNaN(waitMs))
      throw new UsageError(`Expected \`--wait\` with a number of seconds or none, got \`${given.wait}\``);
    const input = await readInput(given.input ?? "{}");
    const headers = given.key === undefined ? {} : { "idempotency-key": given.key };
    const run = await api.send<Run>(
      "POST",
      `${path("flows", flow)}/runs`,
      input,
      headers as { [name: string]: string },
    );
    if (given.wait === undefined) {
      await print(isJson ? JSON.stringify(run) : clean(run.id));
      if (!isJson) say(`Started. Watch it: ${api.command(`status ${clean(run.id)} --watch`)}`);
      return 0;
    }
    say(`Started ${clean(run.id)}`);
    return watch(api, run.id, isJson, waitMs);
  },
});

/** The input as JSON text. */
async function readInput(given: string): Promise<string> {
  const [source, json] = await sourceOf(given);
  try {
    JSON.parse(json);
  } catch (error) {
    throw new UsageError(`Expected ${source} to be JSON: ${(error as Error).message}`, HINT);
  }
  return json;
}

const HINT = `In a shell quotes belong around it: --input '{"texts":["One."]}'. A file: --input @texts.json`;

async function sourceOf(given: string): Promise<[string, string]> {
  if (given === "-") return ["standard input", await text(process.stdin)];
  if (!given.startsWith("@")) return ["`--input`", given];
  const file = given.slice(1);
  try {
    return [`\`${file}\``, await readFile(file, "utf8")];
  } catch (error) {
    throw new UsageError(`Expected \`--input\` to name a file that can be read: ${(error as Error).message}`);
  }
}
