import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { it } from "vitest";

const run = promisify(execFile);
const pathOf = (path: string) => fileURLToPath(new URL(path, import.meta.url));

it("type-checks code written for pocketflow 1.0.4 once only its import is changed", { timeout: 60_000 }, async () => {
  const compiler = pathOf("../../node_modules/typescript/bin/tsc");
  // What the compiler complains of is on its standard output, which a rejection alone would not show.
  await run(process.execPath, [compiler, "-p", pathOf("types/tsconfig.json")]).catch(({ stdout }) => {
    throw new Error(stdout);
  });
});
