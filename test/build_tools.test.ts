// What a build finds on a machine: scripts/build_tools.mjs, run with a PATH of tools that are none.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "westwind-tools-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function tool(name: string, prints: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\nprintf '${prints}\\n'\n`);
  chmodSync(join(folder, name), 0o755);
}

function cudaOptions(): string[] {
  const script = pathToFileURL("scripts/build_tools.mjs").href;
  const program = `import { cudaOptions } from "${script}"; console.log(JSON.stringify(cudaOptions()));`;
  const env = { PATH: folder, CUDA_HOME: join(folder, "none") };
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { env, encoding: "utf8" });
  return JSON.parse(stdout) as string[];
}

test("CUDA is built for the GPUs of the machine, each generation once", () => {
  tool("nvidia-smi", "9.0\\n8.9\\n9.0\\n7.5");
  tool("nvcc", "Cuda compilation tools, release 13.0, V13.0.48");
  expect(cudaOptions()).toEqual([
    "-DWW_CUDA=ON",
    "-DCMAKE_CUDA_ARCHITECTURES=89-real;90a-real",
    "-DCMAKE_CUDA_COMPILER=nvcc",
  ]);
});

test("CUDA is not built without a driver, without a GPU that can run it, or without a compiler of today", () => {
  tool("nvcc", "release 13.0");
  expect(cudaOptions()).toEqual([]);
  tool("nvidia-smi", "7.5");
  expect(cudaOptions()).toEqual([]);
  tool("nvidia-smi", "9.0");
  tool("nvcc", "release 12.4");
  expect(cudaOptions()).toEqual([]);
});
