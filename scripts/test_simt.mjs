// Runs every CUDA kernel through the kernels' tests on the CPU, under the emulator of test/simt, then uploads, loading and
// the gradients of whole models, and says how many kernels and cases passed.
//   npm run test:simt [-- test/kernels/rope.test.ts ... vitest's options]
//   npm run test:sanitized [-- ...]        the kernels' alone, with AddressSanitizer over every access to shared and global memory
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sanitizes = process.argv.includes("--sanitize");
const variant = sanitizes ? "sanitized" : "simt";
const given = process.argv.slice(2).filter((argument) => argument !== "--sanitize");
const WHOLE_MODELS = [
  "test/tensor/stream.test.ts",
  "test/checkpoint/load_model.test.ts",
  "test/train/gradients.test.ts",
];
const paths = given.some((argument) => argument.startsWith("test/"))
  ? []
  : ["test/kernels", ...(sanitizes ? ["test/simt"] : WHOLE_MODELS)];
const results = /^--outputFile\.json=(.*)$/m.exec(given.join("\n"))?.[1];
const counted = results ?? `build/${variant}/results.json`;
const reporters = results ? [] : ["--reporter=default", "--reporter=json", `--outputFile.json=${counted}`];

run("scripts/setup.mjs");
run("scripts/build_native.mjs", `--${variant}`);
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
    WESTWIND_ADDON: `${root}/build/${variant}/westwind.node`,
    WESTWIND_TEST_BACKENDS: "cuda",
    WESTWIND_TEST_DEVICE: "cuda",
    XDG_CACHE_HOME: `${root}/build/${variant}/cache`,
    ...(sanitizes && { LD_PRELOAD: sanitizer(), ASAN_OPTIONS: "detect_leaks=0", WESTWIND_TEST_EXACT: "1" }),
  };
  const { status } = spawnSync(process.execPath, [script, ...args], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...(isTest && environment) },
  });
  if (status !== 0 && !isTest) process.exit(status ?? 1);
  return status ?? 1;
}

/** The library that the compiler's AddressSanitizer calls, which has to be loaded before all others. */
function sanitizer() {
  const compiler = process.env.CXX ?? "c++";
  return spawnSync(compiler, ["-print-file-name=libasan.so"], { encoding: "utf8" }).stdout.trim();
}
