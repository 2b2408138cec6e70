import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { chromiumOnPath, NO_CHROMIUM } from "./tests/page/browser/chromium.ts";

/** Tests of servers that measure how soon things happen, and of some that measure how much of a limit is used. */
const TIMED = ["limits-*", "resume"].map((name) => `tests/restart/${name}.test.ts`);
const USE = "tests/restart/limits.test.ts";

/** Tests of the page in a browser; one of them measures how long its tasks are. */
const page = {
  globalSetup: "tests/page/browser/setup.ts",
  testTimeout: 60_000,
  hookTimeout: 60_000,
  expect: { poll: { timeout: 10_000 } },
  execArgv: ["--disable-warning=ExperimentalWarning"],
};
/** A machine without a browser is told so, and runs the rest; CI has one. */
const hasBrowser = process.env["CI"] !== undefined || chromiumOnPath() !== undefined;
if (!hasBrowser) console.warn(`The tests of the page are left out. ${NO_CHROMIUM}`);
const MEASURED = "tests/page/browser/many.test.ts";

/** What takes longer than it may here: `npm run soak` has it, and other tests more of what they do. */
const SOAKS = process.env["VITE_SOAK"] ? [] : ["tests/restart/doors-vendor.test.ts"];

/** Tests of servers that are killed. */
const restart = {
  globalSetup: "tests/restart/setup.ts",
  testTimeout: 120_000,
  // A folder with all that npm installs is not removed in a moment where others write as well.
  hookTimeout: 60_000,
  execArgv: ["--disable-warning=ExperimentalWarning"], // node:sqlite
};

export default defineConfig({
  test: {
    silent: "passed-only",
    // Two cores would get one worker, which waits for most of its time: for alarms, leases and servers that start again.
    maxWorkers: 4,
    projects: [
      {
        test: {
          name: "node",
          include: ["core", "triggers", "batches", "worker", "page"].map((room) => `tests/${room}/**/*.test.ts`),
          exclude: ["tests/page/browser"],
        },
      },
      {
        plugins: [cloudflareTest({ wrangler: { configPath: "./tests/durable/wrangler.toml" } })],
        test: {
          name: "workerd",
          include: ["tests/durable/**/*.test.ts", "tests/http/**/*.test.ts"],
          testTimeout: 20_000,
          expect: { poll: { timeout: 10_000 } },
        },
      },
      {
        test: {
          ...restart,
          name: "restart",
          include: ["tests/restart/**/*.test.ts", "tests/cli/**/*.test.ts"],
          exclude: [...TIMED, USE, ...SOAKS],
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...page,
          name: "page",
          include: hasBrowser ? ["tests/page/browser/**/*.test.ts"] : [],
          exclude: [MEASURED],
          sequence: { groupOrder: 1 },
        },
      },
      {
        // They do little but wait, so some may do it together, after the rest.
        test: { ...restart, name: "timed", include: TIMED, maxWorkers: 3, sequence: { groupOrder: 2 } },
      },
      {
        test: { ...restart, name: "use", include: [USE], fileParallelism: false, sequence: { groupOrder: 3 } },
      },
      {
        test: {
          ...page,
          name: "measured",
          include: hasBrowser ? [MEASURED] : [],
          fileParallelism: false,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
