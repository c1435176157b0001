import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const objects = join(dirname(dirname(fileURLToPath(import.meta.url))), "build", "cmake", "CMakeFiles");
const folders = existsSync(objects) ? readdirSync(objects).filter((name) => /^cpu_\w+\.dir$/.test(name)) : [];

function reasonToSkip(): string | undefined {
  if (folders.length === 0) return "the kernels were not built here";
  return spawnSync("nm", ["--version"]).status === 0 ? undefined : "nm was not found";
}

/** Weak symbols of an object file that do not carry the name of its instruction set. */
function sharedSymbols(folder: string, file: string): string[] {
  const { stdout, stderr, status } = spawnSync("nm", ["-C", join(objects, folder, file)], { encoding: "utf8" });
  expect(status, stderr).toBe(0);
  const isa = /^cpu_(\w+)\.dir$/.exec(folder)![1]!;
  return stdout.split("\n").filter((line) => / [WVu] /.test(line) && !line.includes(`ww::cpu::${isa}::`));
}

// The linker merges weak symbols of the same name. One that an AVX-512 file shares with a portable file might be merged
// to the AVX-512 copy, and a machine without AVX-512 would stop at it.
test("kernels leave the linker nothing to merge across instruction sets", (context) => {
  const reason = reasonToSkip();
  if (reason) return context.skip(reason);
  for (const folder of folders) {
    const files = readdirSync(join(objects, folder), { recursive: true, encoding: "utf8" });
    for (const file of files.filter((name) => name.endsWith(".o"))) {
      expect(sharedSymbols(folder, file), `${folder}/${file}`).toEqual([]);
    }
  }
});
