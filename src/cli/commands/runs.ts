import type { RunList, RunSummary } from "../../http/api.ts";
import { wholeNumber } from "../args.ts";
import { type Api, path, search } from "../client.ts";
import { command } from "../command.ts";
import { Table } from "../table.ts";
import { print, say } from "../terminal.ts";
import { between, fromNow, number } from "../words.ts";

const DEFAULT_LIMIT = "20";
const MOST = 100_000;
const PAGE = 1_000;

export const runs = command({
  name: "runs",
  takes: [],
  about: "List the runs, the newest first",
  flags: {
    flow: { value: "FLOW", about: "Only those of a flow" },
    status: { value: "STATUS", about: "Only queued, running, waiting, paused, completed, failed or canceled ones" },
    limit: { value: "N", about: `At most so many (default ${DEFAULT_LIMIT})` },
  },
  example: "npx pocketflare runs --flow summarize --limit 5",
  async run({ api, given: { flow, status, limit = DEFAULT_LIMIT }, isJson }) {
    const list = await read(api, { flow, status }, wholeNumber("limit", limit, 1, MOST));
    if (isJson) return print(JSON.stringify(list));
    await new Table("ID", "FLOW", "STATUS", ">ITEMS", ">FAILED", "STARTED", "TOOK").print(list.runs.map(rowOf));
    if (list.cursor !== null) say(`There are more: --limit ${10 * list.runs.length}`);
  },
});

async function read(api: Api, query: { [name: string]: string | undefined }, most: number): Promise<RunList> {
  const all: RunList = { runs: [], cursor: null };
  do {
    const limit = Math.min(PAGE, most - all.runs.length);
    const page = await api.get<RunList>(path("runs") + search({ ...query, limit, cursor: all.cursor ?? undefined }));
    all.runs.push(...page.runs);
    all.cursor = page.cursor;
  } while (all.cursor !== null && all.runs.length < most);
  return all;
}

function rowOf({ id, flow, status, items, createdAt, startedAt, finishedAt }: RunSummary): string[] {
  const done = `${number(items.succeeded + items.failed + items.canceled)}/${number(items.total)}`;
  return [id, flow, status, done, number(items.failed), fromNow(createdAt), between(startedAt, finishedAt)];
}
