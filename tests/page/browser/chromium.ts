import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
/** A browser of the tests asks nobody but the server under test. */
const ARGS = [
  "--no-sandbox",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  "--no-first-run",
];

export const NO_CHROMIUM =
  "Expected Chromium on PATH, or its path in CHROMIUM: install it, for example with `apt-get install chromium`.";

/** The browser that `CHROMIUM` names, or the first on PATH; nothing where there is none. */
export function chromiumOnPath(): string | undefined {
  const { CHROMIUM: named, PATH = "" } = process.env;
  if (named) return named;
  const places = PATH.split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return places.find(canRun);
}

export function findChromium(): string {
  const found = chromiumOnPath();
  if (found) return found;
  throw new Error(NO_CHROMIUM);
}

export function launch(executablePath: string, args: readonly string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath, args: [...ARGS, ...args] });
}

function canRun(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
