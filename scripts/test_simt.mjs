// Runs every CUDA kernel through the kernels' tests on the CPU, under the emulator of test/simt.
//   npm run test:simt [-- test/kernels/rope.test.ts ... vitest's options]
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const given = process.argv.slice(2);
const paths = given.some((argument) => argument.startsWith("test/")) ? [] : ["test/kernels"];

run("scripts/setup.mjs");
run("scripts/build_native.mjs", "--simt");
run("node_modules/vitest/vitest.mjs", "run", ...paths, ...given);

function run(script, ...args) {
  const environment = {
    WESTWIND_ADDON: `${root}/build/simt/westwind.node`,
    WESTWIND_TEST_BACKENDS: "cuda",
    XDG_CACHE_HOME: `${root}/build/simt/cache`,
  };
  const { status } = spawnSync(process.execPath, [script, ...args], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...(script.includes("vitest") && environment) },
  });
  if (status !== 0) process.exit(status ?? 1);
}
