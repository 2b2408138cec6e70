import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { fastFolder } from "./tests/restart/folder.ts";

// `npm run chaos`: every program, with its run's object lost at each of its commits in turn. Minutes, hence no part of `npm test`.

// The runtime keeps its storage there.
process.env["TMPDIR"] = fastFolder();

export default defineConfig({
  plugins: [cloudflareTest({ wrangler: { configPath: "./tests/chaos/wrangler.toml" } })],
  test: {
    name: "chaos",
    include: ["tests/chaos/**/*.test.ts"],
    testTimeout: 300_000,
  },
});
