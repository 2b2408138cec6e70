import type { FlowList } from "../../http/api.ts";
import { path } from "../client.ts";
import { command } from "../command.ts";
import { print } from "../terminal.ts";
import { clean } from "../text.ts";

export const flows = command({
  name: "flows",
  takes: [],
  about: "List the flows",
  flags: {},
  example: "npx pocketflare flows",
  async run({ api, isJson }) {
    const list = await api.get<FlowList>(path("flows"));
    if (isJson) return print(JSON.stringify(list));
    for (const { name } of list.flows) await print(clean(name));
  },
});
