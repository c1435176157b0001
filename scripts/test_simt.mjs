// Runs every CUDA kernel through the kernels' tests on the CPU, under the emulator of test/simt, and says how many kernels
// and cases passed.
//   npm run test:simt [-- test/kernels/rope.test.ts ... vitest's options]
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const given = process.argv.slice(2);
const paths = given.some((argument) => argument.startsWith("test/")) ? [] : ["test/kernels"];
const results = /^--outputFile\.json=(.*)$/m.exec(given.join("\n"))?.[1];
const counted = results ?? "build/simt/results.json";
const reporters = results ? [] : ["--reporter=default", "--reporter=json", `--outputFile.json=${counted}`];

run("scripts/setup.mjs");
run("scripts/build_native.mjs", "--simt");
const status = run("node_modules/vitest/vitest.mjs", "run", ...paths, ...reporters, ...given);
const cases = JSON.parse(readFileSync(`${root}/${counted}`, "utf8"))
  .testResults.flatMap(({ assertionResults }) => assertionResults)
  .filter(({ status }) => status === "passed");
const kernels = new Set(cases.map(({ title }) => /^(\w+) cuda/.exec(title)?.[1]).filter(Boolean));
console.log(`emulated: ${kernels.size} kernels, ${cases.length} cases passed`);
process.exit(status);

/** The exit status; a script that sets up ends this one when it fails. */
function run(script, ...args) {
  const isTest = script.includes("vitest");
  const environment = {
    WESTWIND_ADDON: `${root}/build/simt/westwind.node`,
    WESTWIND_TEST_BACKENDS: "cuda",
    XDG_CACHE_HOME: `${root}/build/simt/cache`,
  };
  const { status } = spawnSync(process.execPath, [script, ...args], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...(isTest && environment) },
  });
  if (status !== 0 && !isTest) process.exit(status ?? 1);
  return status ?? 1;
}
