import type { Run } from "../../http/api.ts";
import { path } from "../client.ts";
import { command } from "../command.ts";
import { columnsOf, paint, print, styleOf } from "../terminal.ts";
import { clean, clip } from "../text.ts";
import { errorOf, watch } from "../watch.ts";
import { between, fromNow, number } from "../words.ts";

export const status = command({
  name: "status",
  takes: ["<id>"],
  about: "Show how a run is",
  flags: { watch: { about: "Show it until it has ended; exit code 1 if it failed or was canceled" } },
  example: 'npx pocketflare status "$run" --watch',
  async run({ api, words: [id = ""], given, isJson }) {
    if (given.watch) return watch(api, id, isJson);
    const run = await api.get<Run>(path("runs", id));
    if (isJson) return print(JSON.stringify(run));
    for (const [name, value] of factsOf(run)) await print(factLine(name, value));
  },
});

const NAME_COLUMNS = 10;

function factLine(name: string, value: string): string {
  const cleaned = clean(value);
  const columns = columnsOf() - NAME_COLUMNS;
  const shown = columns === Number.POSITIVE_INFINITY || name === "error" ? cleaned : clip(cleaned, columns);
  return name.padEnd(NAME_COLUMNS) + (name === "status" ? paint(styleOf(value), shown) : shown);
}

/** What there is to say of a run, of which nothing is empty. */
function factsOf(run: Run): [string, string][] {
  const { id, flow, version, status, step, trigger, createdAt, startedAt, finishedAt, resumesAt, redriveCount } = run;
  const facts: [string, string | null][] = [
    ["run", id],
    ["flow", version === null ? flow : `${flow}, version ${version}`],
    ["trigger", trigger.name === null ? trigger.type : `${trigger.type} ${trigger.name}`],
    ["status", status],
    ["step", step && `${step.node}, ${step.phase}`],
    ["items", itemsOf(run)],
    ["created", `${createdAt}, ${fromNow(createdAt)}`],
    ["took", startedAt && between(startedAt, finishedAt)],
    ["resumes", resumesAt && `${resumesAt}, ${fromNow(resumesAt)}`],
    ...run.waitsFor.map((wait): [string, string | null] => ["waits", waitOf(wait)]),
    ["redrives", redriveCount > 0 ? number(redriveCount) : null],
    ...errorOf(run).map((error): [string, string] => ["error", error]),
    ...run.warnings.map((warning): [string, string] => ["warning", warning]),
    ["output", run.output === null ? null : JSON.stringify(run.output)],
  ];
  return facts.filter((fact): fact is [string, string] => fact[1] !== null);
}

function itemsOf({ items: { total, ...counts }, executions, tokens }: Run): string {
  const parts = Object.entries(counts).filter(([, count]) => count > 0);
  const shares = parts.map(([name, count]) => `${number(count)} ${name}`);
  const used = tokens > 0 ? `, ${number(tokens)} tokens` : "";
  return `${[`${number(total)} in all`, ...shares].join(", ")}; ${number(executions)} executions${used}`;
}

function waitOf({ node, signal, until }: Run["waitsFor"][number]): string {
  return `${node}${signal === null ? "" : `, for signal ${signal}`}${until === null ? "" : `, until ${until}`}`;
}
