import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { path, search, Unreachable } from "../client.ts";
import { command } from "../command.ts";

export const results = command({
  name: "results",
  takes: ["<id>"],
  about: "Print the results of a run's latest batch as NDJSON, in the order of its input",
  flags: {
    node: { value: "NODE", about: "Those of a node" },
    csv: { about: "As CSV, for a spreadsheet" },
  },
  example: 'npx pocketflare results "$run" > out.ndjson',
  async run({ api, words: [id = ""], given: { node, csv }, isJson }) {
    const { body } = await api.ask(`${path("runs", id)}/results${search({ node, format: csv ? "csv" : undefined })}`);
    if (!body) return;
    const source = Readable.fromWeb(body as ReadableStream);
    try {
      if (process.stdout.isTTY && !isJson) await pipeline(source, escaped, process.stdout, { end: false });
      else await pipeline(source, process.stdout, { end: false });
    } catch (error) {
      throw new Unreachable(
        `The results broke off: ${(error as Error).message}`,
        "What was printed is not all. Try again",
      );
    }
  },
});

/** JSON leaves these as they are: what a terminal obeys, and what turns the direction of text. */
const OBEYED = /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** The same JSON for a terminal: it stands there as what it is in JSON. */
async function* escaped(source: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const bytes of source) {
    const text = decoder.decode(bytes, { stream: true });
    yield text.replace(OBEYED, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);
  }
}
