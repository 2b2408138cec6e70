import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/** Tests of servers that measure how soon things happen, or whose kills must meet most of many runs. */
const TIMED = ["conformance", "limits*", "resume"].map((name) => `tests/restart/${name}.test.ts`);

/** Tests of servers that are killed. */
const restart = {
  globalSetup: "tests/restart/setup.ts",
  testTimeout: 120_000,
  execArgv: ["--disable-warning=ExperimentalWarning"], // node:sqlite
};

export default defineConfig({
  test: {
    silent: "passed-only",
    // Two cores would get one worker, which waits for most of its time.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "node",
          include: ["tests/core/**/*.test.ts", "tests/triggers/**/*.test.ts", "tests/worker/**/*.test.ts"],
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
          include: ["tests/restart/**/*.test.ts"],
          exclude: TIMED,
          sequence: { groupOrder: 1 },
        },
      },
      {
        // One file at a time, and after the rest.
        test: { ...restart, name: "timed", include: TIMED, fileParallelism: false, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
