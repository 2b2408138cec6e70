import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "node", include: ["tests/core/**/*.test.ts", "tests/worker/**/*.test.ts"] } },
      {
        plugins: [cloudflareTest({ wrangler: { configPath: "./tests/durable/wrangler.toml" } })],
        test: { name: "workerd", include: ["tests/durable/**/*.test.ts"] },
      },
    ],
  },
});
