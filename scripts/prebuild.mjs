// Makes prebuilds/<platform>-<arch>/westwind.node, the addon that the package carries: built, stripped and named as
// node-gyp-build looks for it. node-gyp has no part in it, so neither its headers nor Python are needed.
//   npm run build:prebuilt [-- --cuda]      (--cuda: with the CUDA backend for every GPU generation; needs nvcc, and
//                                            loads where there is no driver: one package for machines with GPUs and without)
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import prebuildify from "prebuildify";

import { cudaOptions } from "./build_tools.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const staging = `${root}/build/prebuild`; // prebuildify moves what it finds in build/Release: it gets a copy

const withCuda = process.argv.includes("--cuda");
const built = `${root}/build/${withCuda ? "cuda" : "Release"}/westwind.node`;
// Without it, not even the backend that a build gets where there are GPUs: it would be for those alone.
const isForHere = !withCuda && cudaOptions().length > 0;
const given = { WESTWIND_CMAKE_ARGS: process.env.WESTWIND_CMAKE_ARGS ?? "" }; // a build before may be for one GPU alone
const env = { ...process.env, ...(withCuda && given), ...(isForHere && { WESTWIND_CMAKE_ARGS: "-DWW_CUDA=OFF" }) };
const build = [`${root}/scripts/build_native.mjs`, ...(withCuda ? ["--cuda"] : [])];
const { status } = spawnSync(process.execPath, build, { stdio: ["ignore", 2, 2], env });
if (status !== 0) process.exit(1);
for (const folder of [staging, `${root}/prebuilds`]) rmSync(folder, { recursive: true, force: true });
mkdirSync(`${staging}/build/Release`, { recursive: true });
copyFileSync(built, `${staging}/build/Release/westwind.node`);

const options = { napi: true, strip: true, name: "westwind", cwd: staging, out: root, nodeGyp: "true", targets: [] };
prebuildify(options, (error) => {
  if (error) throw error;
  const path = `prebuilds/${process.platform}-${process.arch}/westwind.node`;
  console.log(`${path}  ${(statSync(`${root}/${path}`).size / 1e6).toFixed(2)} MB`);
});
