import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { VERSION } from "../../version.ts";
import { command } from "../command.ts";
import { UsageError } from "../errors.ts";
import { print } from "../terminal.ts";
import { clean } from "../text.ts";

/** It is no code of this package's, so the build leaves it where it is. */
const TEMPLATE = fileURLToPath(new URL("../../../src/cli/template", import.meta.url));
/** The template's name for the project. */
const NAME = "my-flows";
/** npm would not publish these under their own names. */
const RENAMED = [
  ["gitignore", ".gitignore"],
  ["dev.vars.example", ".dev.vars.example"],
] as const;
const MOST_NAMED = 5;

export const init = command({
  name: "init",
  takes: ["[folder]"],
  about: "Write a working project into an empty folder",
  flags: {},
  example: "npx pocketflare init my-flows",
  async run({ words: [given = "."], isJson }) {
    const folder = resolve(given);
    checkEmpty(folder);
    write(folder);
    const files = readdirSync(TEMPLATE, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(relative(TEMPLATE, parentPath), nameOf(name)))
      .sort();
    if (isJson) return print(JSON.stringify({ folder, files }));
    const enter = folder === resolve(".") ? "" : `cd ${relative(".", folder)} && `;
    await print(`Wrote ${files.join(", ")}\n\nNext:  ${clean(enter)}npm install && npm run dev`);
  },
});

function checkEmpty(folder: string): void {
  const stat = statSync(folder, { throwIfNoEntry: false });
  if (!stat) return;
  if (!stat.isDirectory()) throw new UsageError(`Expected a folder, got a file: ${folder}`);
  const names = readdirSync(folder).filter((name) => name !== ".git");
  if (names.length === 0) return;
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : "";
  throw new UsageError(
    `Expected an empty folder, got one with ${names.slice(0, MOST_NAMED).join(", ")}${more}: ${folder}`,
    "A new folder: npx pocketflare init my-flows",
  );
}

function write(folder: string): void {
  mkdirSync(folder, { recursive: true });
  cpSync(TEMPLATE, folder, { recursive: true });
  for (const [from, to] of RENAMED) renameSync(join(folder, from), join(folder, to));
  const name = workerName(basename(folder));
  for (const file of ["package.json", "wrangler.toml", "README.md"]) {
    const at = join(folder, file);
    writeFileSync(
      at,
      readFileSync(at, "utf8").replaceAll(NAME, name).replace('"pocketflare": "*"', `"pocketflare": "${VERSION}"`),
    );
  }
}

function nameOf(name: string): string {
  return RENAMED.find(([from]) => from === name)?.[1] ?? name;
}

/** A folder's name as Cloudflare takes one for a Worker, and npm for a package. */
function workerName(folder: string): string {
  const name = folder
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 54)
    .replace(/^-+|-+$/g, "");
  return name || NAME;
}
