#!/usr/bin/env node
// Builds build/Release/westwind.node with CMake; cmake-js tells CMake where Node's headers lie.
//   node scripts/build_native.mjs [--verbose] [--if-needed] [--cuda | --simt | --sanitized]    (installed: npx westwind-build)
// --verbose shows the tools' output as it comes. --if-needed does nothing when an addon is there and loads.
// Where there are GPUs and nvcc, it has the CUDA backend for them, unless WESTWIND_CMAKE_ARGS has -DWW_CUDA=OFF.
// --cuda builds build/cuda/westwind.node with the CUDA backend for GPUs elsewhere, --simt build/simt/westwind.node with
// that backend emulated on the CPU, for tests; --sanitized build/sanitized/westwind.node with AddressSanitizer over that.
// WESTWIND_CMAKE_ARGS="-DNAME=VALUE ..." sets options of CMakeLists.txt, which a build without the variable keeps.
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

import { alone } from "./build_lock.mjs";
import { cudaOptions, missingTool } from "./build_tools.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);

const VARIANTS = new Map([
  ["--cuda", ["-DWW_CUDA=ON"]],
  ["--simt", ["-DWW_CUDA=EMULATED"]],
  ["--sanitized", ["-DWW_CUDA=EMULATED", "-DWW_SANITIZED=ON"]],
]);
const flags = process.argv.slice(2);
const unknown = flags.find((flag) => !["--verbose", "--if-needed", ...VARIANTS.keys()].includes(flag));
if (unknown) fail(`${unknown}: expected --verbose, --if-needed, --cuda, --simt or --sanitized`, 2);
const flag = [...VARIANTS.keys()].find((name) => flags.includes(name));
const variant = flag?.slice(2);
const output = `${root}/build/${variant ?? "Release"}`;
const cmakeFolder = variant ? `${output}/cmake` : `${root}/build/cmake`;
const log = `${root}/build/${variant ?? "native"}.log`;
const variantOptions = VARIANTS.get(flag) ?? cudaOptions();
if (flags.includes("--if-needed") && addonLoads()) process.exit(0);

const missing = missingTool();
if (missing) fail(missing);
mkdirSync(output, { recursive: true });
await alone(`${output}/lock`, build).catch((error) => fail(error.message));

function build() {
  const start = new Date();
  const previous = readConfigured();
  const options = process.env.WESTWIND_CMAKE_ARGS ?? previous?.options ?? "";
  const configured = JSON.stringify({ root, compiler: process.env.CXX || "c++", variantOptions, options });
  writeFileSync(log, "");
  if (JSON.stringify(previous) !== configured) configure(options, configured);
  run("cmake", "--build", cmakeFolder, "--parallel", String(availableParallelism()));
  const warnings = readFileSync(log, "utf8").match(/ warning: /g)?.length ?? 0;
  if (warnings > 0 && !flags.includes("--verbose")) console.error(`westwind: ${warnings} warnings, see ${log}`);
  writeFileSync(`${output}/westwind.built`, options);
  utimesSync(`${output}/westwind.built`, start, start); // a source edited meanwhile is newer than this
}

/** From nothing: CMake keeps in its cache what an earlier compiler, folder or option left there. */
function configure(options, configured) {
  rmSync(cmakeFolder, { recursive: true, force: true });
  const given = options.split(/\s+/).filter(Boolean);
  const odd = given.find((option) => !/^-D\w+=/.test(option));
  if (odd) throw new Error(`WESTWIND_CMAKE_ARGS: ${odd}: expected -DNAME=VALUE`);
  const defines = [...variantOptions, ...given, `-DWW_OUTPUT_DIR=${output}`].map((option) =>
    option.replace(/^-D/, "--CD"),
  );
  const cmakeJs = require.resolve("cmake-js/bin/cmake-js");
  run(process.execPath, cmakeJs, "configure", "-l", "warn", "-d", root, "-O", cmakeFolder, ...defines);
  writeFileSync(`${cmakeFolder}/westwind.json`, configured);
}

function readConfigured() {
  try {
    return JSON.parse(readFileSync(`${cmakeFolder}/westwind.json`, "utf8"));
  } catch {
    return undefined; // not configured yet
  }
}

/** Runs a tool with its output in the log, which is shown when the tool does not succeed. */
function run(command, ...args) {
  const file = openSync(log, "a");
  const { status } = spawnSync(command, args, {
    cwd: root,
    stdio: flags.includes("--verbose") ? "inherit" : ["ignore", file, file],
  });
  closeSync(file);
  if (status === 0) return;
  const isProgress = /^(\[\s*\d+(%|\/\d+)\] |-- )/;
  const lines = readFileSync(log, "utf8").split("\n");
  for (const line of lines) if (!isProgress.test(line)) console.error(line);
  throw new Error("the native addon did not build; what the tools said is above");
}

function addonLoads() {
  try {
    require("node-gyp-build")(root);
    return true;
  } catch {
    return false;
  }
}

function fail(message, code = 1) {
  console.error(`westwind: ${message}`);
  process.exit(code);
}
