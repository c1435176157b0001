// Makes prebuilds/<platform>-<arch>/westwind.node, the addon that the package carries: built, stripped and named as
// node-gyp-build looks for it. node-gyp has no part in it, so neither its headers nor Python are needed.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import prebuildify from "prebuildify";

import { cudaOptions } from "./build_tools.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const staging = `${root}/build/prebuild`; // prebuildify moves what it finds in build/Release: it gets a copy

// Without the CUDA backend that a build gets where there are GPUs: it would be for those alone.
const env = { ...process.env, ...(cudaOptions().length > 0 && { WESTWIND_CMAKE_ARGS: "-DWW_CUDA=OFF" }) };
const { status } = spawnSync(process.execPath, [`${root}/scripts/build_native.mjs`], { stdio: ["ignore", 2, 2], env });
if (status !== 0) process.exit(1);
for (const folder of [staging, `${root}/prebuilds`]) rmSync(folder, { recursive: true, force: true });
mkdirSync(`${staging}/build/Release`, { recursive: true });
copyFileSync(`${root}/build/Release/westwind.node`, `${staging}/build/Release/westwind.node`);

const options = { napi: true, strip: true, name: "westwind", cwd: staging, out: root, nodeGyp: "true", targets: [] };
prebuildify(options, (error) => {
  if (error) throw error;
  const path = `prebuilds/${process.platform}-${process.arch}/westwind.node`;
  console.log(`${path}  ${(statSync(`${root}/${path}`).size / 1e6).toFixed(2)} MB`);
});
