// What a build of the native addon needs on the machine. Uses nothing but Node.
import { spawnSync } from "node:child_process";

const CMAKE_NEEDED = [3, 24];

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

/** The first line of what `command --version` prints. */
function versionOf(command) {
  const { status, stdout } = spawnSync(command, ["--version"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return status === 0 ? stdout.split("\n")[0] : undefined;
}
