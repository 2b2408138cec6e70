import type { Item, ItemList } from "../../http/api.ts";
import { wholeNumber } from "../args.ts";
import { path, search } from "../client.ts";
import { command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { Table } from "../table.ts";
import { print, say } from "../terminal.ts";
import { between } from "../words.ts";

const DEFAULT_LIMIT = "100";
const MOST = 1_000_000;
/** Few enough that a page of large results fits into memory. */
const PAGE = 500;

export const items = command({
  name: "items",
  takes: ["<id>"],
  about: "List the items of a run",
  details:
    "An item is named by its step and its index, as `retry --item` takes it. With --json it is NDJSON: an item a line.",
  flags: {
    status: { value: "STATUS", about: "Only pending, running, deferred, succeeded, failed or canceled ones" },
    node: { value: "NODE", about: "Only those of a node" },
    limit: { value: "N", about: `At most so many (default ${DEFAULT_LIMIT})` },
    all: { about: "All of them" },
  },
  example: 'npx pocketflare items "$run" --status succeeded',
  async run({ api, words: [id = ""], given: { status, node, limit, all }, isJson }) {
    if (all && limit !== undefined) throw new UsageError("Expected `--limit` or `--all`, got both");
    let left = all ? Number.POSITIVE_INFINITY : wholeNumber("limit", limit ?? DEFAULT_LIMIT, 1, MOST);
    let cursor: string | null = null;
    const table = new Table("NODE", "BRANCH", ">ITEM", "STATUS", ">ATTEMPTS", "TOOK", "RESULT");
    do {
      const query = { status, node, limit: Math.min(PAGE, left), cursor: cursor ?? undefined };
      const page: ItemList = await api.get<ItemList>(`${path("runs", id)}/items${search(query)}`);
      left -= page.items.length;
      cursor = page.cursor;
      if (!isJson) await table.print(page.items.map(rowOf));
      else for (const item of page.items) await print(JSON.stringify(item));
    } while (cursor !== null && left > 0);
    if (cursor !== null) say("There are more: --all");
  },
});

function rowOf({ node, branch, step, index, status, attempts, startedAt, finishedAt, result, error }: Item): string[] {
  const outcome = error ? `${error.name}: ${error.message}` : (JSON.stringify(result) ?? "");
  return [node, branch || "-", `${step}-${index}`, status, String(attempts), between(startedAt, finishedAt), outcome];
}
