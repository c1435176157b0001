// Checks that the C++ and CUDA sources are formatted; --write formats them.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = (folder) =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return sources(path);
    return /\.(cpp|h|cu|cuh)$/.test(entry.name) ? [path] : [];
  });

const mode = process.argv.includes("--write") ? ["-i"] : ["--dry-run", "--Werror"];
const command = join(root, "node_modules/.bin/clang-format");
const { status } = spawnSync(command, [...mode, ...sources("native"), ...sources("test/simt")], {
  cwd: root,
  stdio: "inherit",
});
process.exit(status ?? 1);
