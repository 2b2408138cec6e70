import { readFileSync } from "node:fs";
import { join } from "node:path";

const README = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");

/** A call to the local server, as the README has it for one of the flows in this repository. */
export interface Command {
  path: string;
  body: string;
}

/** What the commands of a flow call, in turn, with the id of their run put in. */
export function command(flow: string, at = 0, run = "$run"): Command {
  const text = new RegExp(`^# ${flow}: .*\\n([\\s\\S]*?)\\n\\n`, "m").exec(README)?.[1] ?? "";
  const calls = Array.from(text.matchAll(/curl (?:-s )?'?localhost:8787([^\s']+)'?(?: -H '[^']*' -d '([^']*)')?/g));
  const [, path, body = ""] = calls[at] ?? [];
  if (path === undefined) throw new Error(`Expected command ${at} for ${flow} in the README`);
  return { path: path.replace("$run", run), body };
}
