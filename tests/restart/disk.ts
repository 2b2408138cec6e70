import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";

// What a server left on disk. Only read once it is dead, and from copies, so that the next one finds what the last one wrote.

export interface Database {
  file: string;
  /** Its tables, but for the local runtime's own. */
  tables: string[];
}

/** The databases of a class's objects. */
export function databases(state: string, className: "FlowRun" | "Executor"): Database[] {
  return filesOf(state, className).map((file) => ({ file, tables: read(file, ourTables) }));
}

/** How many items of all runs were in exec, as their rows say. */
export function heldAtKill(state: string): number {
  const held = "select sum((select coalesce(sum(value ->> 2), 0) from json_each(slot.held))) as held from slot";
  const heldBy = (database: DatabaseSync) =>
    ourTables(database).includes("slot") ? Number(database.prepare(held).get()?.["held"] ?? 0) : 0;
  return filesOf(state, "FlowRun").reduce((sum, file) => sum + read(file, heldBy), 0);
}

/** Whether the objects of a class have wiped their storage. Of a wiped database no log is left beside it. */
export function isWiped(state: string, className: "FlowRun" | "Executor"): boolean {
  return filesOf(state, className).every((file) => !existsSync(`${file}-wal`));
}

/** The files that objects have, empty ones too. */
export function filesOf(state: string, className: "FlowRun" | "Executor"): string[] {
  const folder = join(state, "do", `restart-${className}`);
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => name.endsWith(".sqlite") && name !== "metadata.sqlite");
  return names.map((name) => join(folder, name));
}

/** The local runtime gives every object that is called by name a table to keep the name in. */
function ourTables(database: DatabaseSync): string[] {
  const tables = database.prepare("select name from sqlite_master where type = 'table'").all();
  return tables.map(({ name }) => String(name)).filter((name) => name !== "__miniflare_do_name");
}

function read<T>(file: string, look: (database: DatabaseSync) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "pocketflare-copy-"));
  const copy = join(folder, basename(file));
  for (const end of ["", "-wal"]) if (existsSync(file + end)) copyFileSync(file + end, copy + end);
  const database = new DatabaseSync(copy);
  try {
    return look(database);
  } finally {
    database.close();
    rmSync(folder, { recursive: true });
  }
}
