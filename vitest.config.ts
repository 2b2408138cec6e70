import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    silent: "passed-only",
    projects: [
      { test: { name: "node", include: ["tests/core/**/*.test.ts", "tests/worker/**/*.test.ts", "tests/triggers/**/*.test.ts"] } },
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
        // Servers that are killed. One file at a time and after the rest: they measure how soon things happen.
        test: {
          name: "restart",
          include: ["tests/restart/**/*.test.ts"],
          globalSetup: "tests/restart/setup.ts",
          testTimeout: 120_000,
          execArgv: ["--disable-warning=ExperimentalWarning"], // node:sqlite
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
