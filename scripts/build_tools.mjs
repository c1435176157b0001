// What a build of the native addon needs on the machine. Uses nothing but Node.
import { spawnSync } from "node:child_process";

const CMAKE_NEEDED = [3, 24];
const CUDA_NEEDED = 13;
const CAPABILITY_NEEDED = 8;

/** The first tool that is missing, with the cure; undefined when a build can start. */
export function missingTool() {
  const cmake = versionOf("cmake");
  if (!cmake) return `cmake was not found: install CMake ${CMAKE_NEEDED.join(".")} or later (apt install cmake)`;
  const [major, minor] =
    cmake
      .match(/(\d+)\.(\d+)/)
      ?.slice(1)
      .map(Number) ?? CMAKE_NEEDED;
  if (major < CMAKE_NEEDED[0] || (major === CMAKE_NEEDED[0] && minor < CMAKE_NEEDED[1])) {
    return `cmake is ${major}.${minor}: install CMake ${CMAKE_NEEDED.join(".")} or later (pip install cmake has it)`;
  }
  if (!versionOf("ninja") && !versionOf("make")) {
    return "neither ninja nor make was found: install one (apt install ninja-build)";
  }
  const compiler = process.env.CXX || "c++";
  if (!versionOf(compiler)) {
    return `the C++ compiler ${compiler} was not found: install g++ 12 or later (apt install g++), or set CXX`;
  }
  return undefined;
}

/**
 * CMake's options for the CUDA backend, for the GPUs of this machine and no others: none where the NVIDIA driver, a GPU
 * it can run on or CUDA's compiler is missing.
 */
export function cudaOptions() {
  const capabilities = outputOf("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader") ?? "";
  const nvcc = ["nvcc", `${process.env.CUDA_HOME ?? "/usr/local/cuda"}/bin/nvcc`].find((path) => {
    return Number(/release (\d+)/.exec(outputOf(path, "--version") ?? "")?.[1] ?? 0) >= CUDA_NEEDED;
  });
  const generations = [...capabilities.matchAll(/^(\d+)\.(\d+)\s*$/gm)]
    .filter(([, major]) => Number(major) >= CAPABILITY_NEEDED)
    .map(([, major, minor]) => `${major}${minor}${major === "9" ? "a" : ""}-real`);
  if (!nvcc || generations.length === 0) return [];
  const architectures = [...new Set(generations)].sort().join(";");
  return ["-DWW_CUDA=ON", `-DCMAKE_CUDA_ARCHITECTURES=${architectures}`, `-DCMAKE_CUDA_COMPILER=${nvcc}`];
}

/** The first line of what `command --version` prints. */
const versionOf = (command) => outputOf(command, "--version")?.split("\n")[0];

function outputOf(command, ...args) {
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return status === 0 ? stdout : undefined;
}
