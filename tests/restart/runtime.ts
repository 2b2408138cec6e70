import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import type { Site } from "./server.ts";

// What the system says of a server's runtime: only Linux does.

/** The runs whose objects are in memory: those whose databases are open, by the names of their files. */
export function awake(site: Site): Set<string> {
  const folder = join(site.state, "do", "restart-FlowRun");
  const open = `/proc/${runtimeOf(site)}/fd`;
  const files = readdirSync(open).map((fd) => linkOf(join(open, fd)));
  return new Set(files.filter((file) => file.startsWith(folder) && /\/[0-9a-f]{64}\.sqlite$/.test(file)));
}

/** How much memory of its own the runtime holds, in MB. */
export function memoryMb(site: Site): number {
  const status = readFileSync(`/proc/${runtimeOf(site)}/status`, "utf8");
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

function runtimeOf({ group }: Site): string {
  const found = readdirSync("/proc").find((pid) => /^\d+$/.test(pid) && isRuntime(pid, group));
  if (found === undefined) throw new Error("Expected a runtime, found none");
  return found;
}

/** The fields after the name, which is in brackets: state, parent, group. */
function isRuntime(pid: string, group: number | undefined): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.includes("(workerd)") && Number(/^.*\) \S+ \d+ (\d+)/s.exec(stat)?.[1]) === group;
  } catch {
    return false;
  }
}

/** Empty where it was closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
