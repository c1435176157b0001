// Makes a fresh clone ready: dependencies, the native addon, the compiled TypeScript. Does only what is out of date;
// --force builds anyway. Uses nothing but Node, since it runs before anything is installed.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { alone } from "./build_lock.mjs";
import { missingTool } from "./build_tools.mjs";

const NATIVE_SOURCES = ["native", "CMakeLists.txt", "scripts/build_native.mjs", "package-lock.json"];
const LIB_SOURCES = ["lib", "tsconfig.json", "tsconfig.build.json", "package-lock.json"];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const force = process.argv.includes("--force");
process.chdir(root);

/** In order. Each is asked again once its turn has come: another process may have done it. */
const steps = [
  {
    what: "installing dependencies",
    isCurrent: dependenciesAreCurrent,
    run: () => run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"),
  },
  {
    what: "building the native addon (a minute or two the first time)",
    isCurrent: () => !force && nativeIsCurrent(),
    run: () => run(process.execPath, "scripts/build_native.mjs"),
  },
  { what: "compiling TypeScript", isCurrent: () => !force && libIsCurrent(), run: compileLib },
  { isCurrent: commandIsLinked, run: linkCommand },
];

if (Number(process.versions.node.split(".")[0]) < 20) {
  fail(`Node ${process.versions.node} is too old: install Node 20 or later`);
}
if (steps.some(({ isCurrent }) => !isCurrent())) {
  const missing = force || !nativeIsCurrent() ? missingTool() : undefined;
  if (missing) fail(missing); // before minutes are spent on the rest
  mkdirSync("build", { recursive: true });
  await alone("build/setup.lock", () => {
    for (const { what, isCurrent, run } of steps) {
      if (isCurrent()) continue;
      if (what) console.error(`westwind: ${what}`);
      run();
    }
  }).catch((error) => fail(error.message));
}

function run(command, ...args) {
  const { status, error } = spawnSync(command, args, { stdio: ["ignore", 2, 2] });
  if (error?.code === "ENOENT") throw new Error(`${command} was not found: install Node 20 or later with npm`);
  if (status !== 0) throw new Error(`stopped: ${[command === process.execPath ? "node" : command, ...args].join(" ")}`);
}

/** Every package of the lock file is installed in its version. npm writes the second list when it is done. */
function dependenciesAreCurrent() {
  const packagesIn = (path) => JSON.parse(readFileSync(path, "utf8")).packages;
  if (!timeOf("node_modules/.package-lock.json")) return false;
  const installed = packagesIn("node_modules/.package-lock.json");
  return Object.entries(packagesIn("package-lock.json")).every(
    ([path, { version, optional }]) => path === "" || optional || installed[path]?.version === version,
  );
}

function nativeIsCurrent() {
  const built = "build/Release/westwind.built";
  if (!timeOf("build/Release/westwind.node") || timeOf(built) < newestOf(NATIVE_SOURCES)) return false;
  return readFileSync(built, "utf8") === (process.env.WESTWIND_CMAKE_ARGS ?? readFileSync(built, "utf8"));
}

function libIsCurrent() {
  return timeOf("dist/.built") >= newestOf(LIB_SOURCES);
}

function compileLib() {
  const start = new Date();
  for (const path of filesIn("dist")) {
    const source = path.replace(/^dist(.*?)(\.d\.ts|\.js)$/, "lib$1.ts");
    if (source !== path && !timeOf(source)) rmSync(path);
  }
  run(process.execPath, "node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json");
  writeFileSync("dist/.built", "");
  utimesSync("dist/.built", start, start); // a source edited meanwhile is newer than this
}

function commandIsLinked() {
  return ((statSync("node_modules/.bin/westwind", { throwIfNoEntry: false })?.mode ?? 0) & 0o100) !== 0;
}

/** Lets `npx westwind` run the checkout. npm links the commands of dependencies only. */
function linkCommand() {
  const command = JSON.parse(readFileSync("package.json", "utf8")).bin.westwind;
  if (!timeOf(command)) return;
  chmodSync(command, 0o755);
  rmSync("node_modules/.bin/westwind", { force: true });
  symlinkSync(join("../..", command), "node_modules/.bin/westwind");
}

function timeOf(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Folders count too: their time tells of a file that was deleted. */
function newestOf(paths) {
  return Math.max(...paths.flatMap((path) => [path, ...filesIn(path, true)]).map(timeOf));
}

function filesIn(folder, withFolders = false) {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (!entry.isDirectory()) return [path];
    return withFolders ? [path, ...filesIn(path, true)] : filesIn(path);
  });
}

function fail(message) {
  console.error(`westwind: ${message}`);
  process.exit(1);
}
