// Makes a fresh clone ready: dependencies, the native addon, the compiled TypeScript. Does only what is out of date;
// --force builds anyway. Uses nothing but Node, since it runs before anything is installed.
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const force = process.argv.includes("--force");

function run(what, command, ...args) {
  console.error(`westwind: ${what}`);
  const { status } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (status === 0) return;
  console.error(`westwind: ${what} did not succeed (${[command, ...args].join(" ")})`);
  process.exit(1);
}

function newest(path, pattern) {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return 0;
  if (!status.isDirectory()) return pattern.test(path) ? status.mtimeMs : 0;
  return readdirSync(path).reduce((time, name) => Math.max(time, newest(join(path, name), pattern)), 0);
}
const newestOf = (paths, pattern) => Math.max(...paths.map((path) => newest(join(root, path), pattern)));
const timeOf = (path) => statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;

if (Number(process.versions.node.split(".")[0]) < 20) {
  console.error(`westwind: Node ${process.versions.node} is too old: install Node 20 or later`);
  process.exit(1);
}
if (timeOf("node_modules/.package-lock.json") < timeOf("package-lock.json")) {
  run("installing dependencies", "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund");
}
const sources = newestOf(["native", "CMakeLists.txt", "scripts/build_native.mjs"], /\.(cpp|h|def|cu|cuh|txt|mjs)$/);
if (force || timeOf("build/Release/westwind.node") < sources) {
  run("building the native addon (about a minute the first time)", process.execPath, "scripts/build_native.mjs");
}
const libSources = newestOf(["lib", "tsconfig.json", "tsconfig.build.json"], /\.(ts|json)$/);
if (force || timeOf("dist/tsconfig.tsbuildinfo") < libSources) {
  run("compiling TypeScript", process.execPath, "node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json");
}
