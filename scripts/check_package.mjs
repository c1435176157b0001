// Packs westwind and installs the tarball into an empty folder on a PATH of nothing but node, npm and sh: no compiler,
// no CMake. Then the addon has to load, the library to import and the command to run.
//   npm run check:package [-- --source]        (--source also builds the addon in the installed package)
// Needs a registry for the run-time dependencies, and a C++ compiler to make the prebuilt addon.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NEWEST_GLIBC = [2, 35]; // of the systems that the prebuilt addon promises to load on
const SHIPPED =
  /^(dist|native|prebuilds|recipes|assets\/quickstart)\/|^scripts\/build_(native|lock|tools)\.mjs$|^(CMakeLists\.txt|binding\.gyp|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const place = mkdtempSync(join(tmpdir(), "westwind-package-"));
process.on("exit", () => rmSync(place, { recursive: true, force: true }));

run("npm", ["run", "--silent", "build:prebuilt"], { cwd: root });
const prebuilt = `prebuilds/${process.platform}-${process.arch}/westwind.node`;
checkGlibc();

const [packed] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", place], { cwd: root }));
console.log(`tarball    ${megabytes(packed.size)} packed, ${megabytes(packed.unpackedSize)} unpacked`);
for (const folder of ["dist", "native", "prebuilds", "recipes", "assets"]) {
  const files = packed.files.filter(({ path }) => path.startsWith(`${folder}/`));
  console.log(
    `  ${folder.padEnd(11)}${files.length} files, ${megabytes(files.reduce((sum, { size }) => sum + size, 0))}`,
  );
}
const odd = packed.files.map(({ path }) => path).filter((path) => !SHIPPED.test(path));
expect(odd.length === 0, `only what is needed is packed, found ${odd.join(", ")}`);
for (const path of ["README.md", "LICENSE", "CMakeLists.txt", "dist/index.js", "dist/cli/main.js", prebuilt]) {
  expect(
    packed.files.some((file) => file.path === path),
    `${path} is packed`,
  );
}

const bin = join(place, "bin");
const home = join(place, "home");
for (const folder of [bin, home]) mkdirSync(folder);
for (const tool of ["node", "npm", "npx", "sh"]) symlinkSync(run("which", [tool]).trim(), join(bin, tool));
writeFileSync(join(home, "package.json"), '{ "private": true, "type": "module" }\n');
const bare = { cwd: home, env: { ...process.env, PATH: bin } };
const start = Date.now();
run("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error", join(place, packed.filename)], bare);
const installed = join(home, "node_modules/westwind");
console.log(`install    ${((Date.now() - start) / 1000).toFixed(1)} s without a compiler`);
expect(!existsSync(join(installed, "build")), "nothing was compiled");

runNode(`
  import { createRequire } from "node:module";
  const require = createRequire(import.meta.url);
  const path = require("node-gyp-build").resolve("./node_modules/westwind");
  const { manifest } = require(path);
  console.log("addon      " + path.split("westwind/")[1] + ", " + Object.keys(manifest).length + " kernels");`);
runNode(
  `import * as westwind from "westwind"; console.log("library    " + Object.keys(westwind).length + " exports");`,
);
expect(run("npx", ["westwind", "--help"], bare).includes("Usage: westwind"), "npx westwind --help answers");
console.log(run("npx", ["westwind", "info"], bare).trimEnd());

if (process.argv.includes("--source")) {
  rmSync(join(installed, "prebuilds"), { recursive: true });
  const { status, stderr } = spawnSync("npx", ["westwind", "info"], { ...bare, encoding: "utf8" });
  expect(status !== 0 && stderr.includes("westwind-build"), "without an addon, the error names npx westwind-build");
  run("npx", ["westwind-build"], { ...bare, env: process.env });
  run("npx", ["westwind", "info"], bare);
  console.log("source     npx westwind-build builds an addon that loads");
}
console.log("the package installs and runs");

/** The newest version of the C library that the prebuilt addon asks for, and that it asks for nothing unusual. */
function checkGlibc() {
  const size = statSync(join(root, prebuilt)).size;
  const symbols = run("objdump", ["-T", join(root, prebuilt)]);
  const versions = [...symbols.matchAll(/GLIBC_(\d+)\.(\d+)/g)].map(([, major, minor]) => [
    Number(major),
    Number(minor),
  ]);
  const [major, minor] = versions.sort(([a, b], [c, d]) => c - a || d - b)[0] ?? [0, 0];
  const libraries = [...run("objdump", ["-p", join(root, prebuilt)]).matchAll(/NEEDED\s+(\S+)/g)].map(
    (match) => match[1],
  );
  console.log(`prebuilt   ${megabytes(size)}, needs glibc ${major}.${minor}: ${libraries.join(" ")}`);
  expect(major === NEWEST_GLIBC[0] && minor <= NEWEST_GLIBC[1], `glibc ${NEWEST_GLIBC.join(".")} is enough`);
  expect(!/GLIBCXX|CXXABI/.test(symbols), "libstdc++ is inside");
  const text = readFileSync(join(root, prebuilt), "latin1");
  expect(!text.includes(root), "no path of this machine is inside");
}

function runNode(program) {
  process.stdout.write(run("node", ["--input-type=module", "-e", program], bare));
}

function run(command, args, options) {
  const { status, stdout, error } = spawnSync(command, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    ...options,
  });
  expect(status === 0, `${command} ${args.join(" ")} succeeds${error ? `: ${error.message}` : ""}\n${stdout ?? ""}`);
  return stdout;
}

function expect(isTrue, claim) {
  if (isTrue) return;
  console.error(`check_package: not so: ${claim}`);
  process.exit(1);
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}
