import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks", // a crash of the addon ends one file, not the run
    testTimeout: 60_000,
    globalSetup: "./test/own_cache.ts",
  },
});
