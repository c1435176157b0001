// Builds westwind.node with CMake, by way of cmake-js. `node scripts/build_native.mjs [OUTPUT_DIR]`
// (default build/Release). CMake's own files stay in build/cmake, so a second build is incremental.
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { alone } from "./build_lock.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const output = resolve(process.argv[2] ?? `${root}/build/Release`);

/** What is missing on this machine, with the cure; undefined when a build can start. */
function missingTool() {
  const runs = (command, ...args) => spawnSync(command, args, { stdio: "ignore" }).status === 0;
  if (!runs("cmake", "--version")) return "cmake was not found: install CMake 3.24 or later (apt install cmake)";
  const compiler = process.env.CXX ?? "c++";
  if (!runs(compiler, "--version")) {
    return `the C++ compiler ${compiler} was not found: install g++ 12 or later (apt install g++), or set CXX`;
  }
  return undefined;
}

const missing = missingTool();
if (missing) {
  console.error(`westwind: ${missing}`);
  process.exit(1);
}
const cmakeJs = createRequire(import.meta.url).resolve("cmake-js/bin/cmake-js");
const args = ["compile", "-l", "warn", "-d", root, "-O", `${root}/build/cmake`, "-p", String(availableParallelism())];
mkdirSync(`${root}/build`, { recursive: true });
const { status } = await alone(`${root}/build/lock`, () =>
  spawnSync(process.execPath, [cmakeJs, ...args, `--CDWW_OUTPUT_DIR=${output}`], { stdio: "inherit" }),
);
process.exit(status ?? 1);
