import type { Limit, LimitKey, LimitList } from "../../http/api.ts";
import { wholeNumber } from "../args.ts";
import { path } from "../client.ts";
import { command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { Table } from "../table.ts";
import { print } from "../terminal.ts";
import { duration, fromNow, number } from "../words.ts";

export const limits = command({
  name: "limits",
  takes: ["[name]"],
  about: "Show the rate limits, and what is used of them",
  flags: {},
  example: "npx pocketflare limits",
  async run({ api, words: [name], isJson }) {
    if (name === undefined) {
      const list = await api.get<LimitList>(path("limits"));
      return isJson ? print(JSON.stringify(list)) : show(list.limits);
    }
    const limit = await api.get<Limit>(path("limits", name));
    return isJson ? print(JSON.stringify(limit)) : show([limit]);
  },
});

export const setLimit = command({
  name: "limits set",
  takes: ["<name>"],
  about: "Change a rate limit while runs go on",
  details: "It wins over what the Worker's code says, restarts and deploys included, until `limits reset`.",
  flags: {
    requests: { value: "N", about: "Calls that may begin in one period" },
    tokens: { value: "N", about: "Tokens that may be used in one period" },
    period: { value: "TIME", about: "The period: 500ms, 1s, 1m, 1h, 1d" },
    concurrency: { value: "N", about: "Calls under way at once" },
    key: { value: "KEY", about: "Of one key only" },
  },
  example: "npx pocketflare limits set llm --requests 600 --period 1m",
  async run({ api, words: [name = ""], given: { key, period, ...counts }, isJson }) {
    const bound = (flag: "requests" | "tokens" | "concurrency") => {
      const text = counts[flag];
      return text === undefined ? undefined : wholeNumber(flag, text, 1, Number.MAX_SAFE_INTEGER);
    };
    const change = {
      requests: bound("requests"),
      tokens: bound("tokens"),
      periodMs: period === undefined ? undefined : milliseconds(period),
      concurrency: bound("concurrency"),
    };
    if (Object.values(change).every((value) => value === undefined)) {
      throw new UsageError("Expected at least one of --requests, --tokens, --period and --concurrency");
    }
    const limit = await api.send<Limit>("PATCH", path("limits", name), JSON.stringify({ ...change, key }));
    return isJson ? print(JSON.stringify(limit)) : show([limit]);
  },
});

export const resetLimit = command({
  name: "limits reset",
  takes: ["<name>"],
  about: "Make a rate limit what the Worker's code says",
  flags: {},
  example: "npx pocketflare limits reset llm",
  async run({ api, words: [name = ""], isJson }) {
    const limit = await api.send<Limit>("POST", `${path("limits", name)}/reset`);
    return isJson ? print(JSON.stringify(limit)) : show([limit]);
  },
});

const UNIT_MS: { readonly [unit: string]: number } = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function milliseconds(text: string): number {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  const ms = Number(amount) * (UNIT_MS[unit] ?? Number.NaN);
  if (ms >= 1) return Math.round(ms);
  throw new UsageError(`Expected \`--period\` to be a time such as 500ms, 1s, 1m, 1h or 1d, got \`${text}\``);
}

function show(list: readonly Limit[]): Promise<void> {
  const table = new Table("NAME", "KEY", ">REQUESTS", ">TOKENS", "PERIOD", ">IN FLIGHT", ">WAITING", "COOLDOWN");
  return table.print(list.flatMap(({ name, keys }) => keys.map((key) => rowOf(name, key))));
}

function rowOf(name: string, { key, used, inFlight, waiting, cooldownUntil, ...bounds }: LimitKey): string[] {
  return [
    name,
    key || "-",
    share(used.requests, bounds.requests),
    share(used.tokens, bounds.tokens),
    duration(bounds.periodMs),
    share(inFlight, bounds.concurrency),
    number(waiting),
    cooldownUntil === null ? "-" : fromNow(cooldownUntil),
  ];
}

/** `12/500`; only what is used where there is no bound. */
function share(used: number, bound: number | null): string {
  const shown = number(Math.round(used));
  return bound === null ? shown : `${shown}/${number(bound)}`;
}
