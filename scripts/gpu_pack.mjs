// npm run gpu:pack [-- --with-data] [--arch=90a] [--addon=FILE]: makes build/gpu/westwind-gpu.tar.xz, all that a bare
// machine with an NVIDIA driver needs to test and time the CUDA backend: Node, the TypeScript sources with what runs
// them, the addon. scripts/gpu/run.sh unpacks and runs it; docs/gpu.md tells the rest.
//   --with-data    small models and stories of ../shared/data too
//   --arch=90a     GPU generation the addon is compiled for, and no other
//   --addon=FILE   this addon instead of compiling one
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const MOST_MIB = 45;
/** What runs the tests and the benches; the rest of node_modules stays here. */
const PACKAGES = ["vitest", "tinybench", "typescript", "fast-check"];
const ONLY_FOR_BUILDS = ["cmake-js", "node-addon-api"];
const SOURCES = ["package.json", "tsconfig.json", "vitest.config.ts", "lib", "test", "bench", "recipes", "assets"];
/** Of packages: types, maps, texts, TypeScript's translations and server, and what Vite needs for style sheets only. */
const UNUSED = [
  ...["*.map", "*.d.ts", "*.d.mts", "*.d.cts", "*.md", "*.flow"],
  ...["node_modules/typescript/lib/[!t]*", "node_modules/typescript/lib/t[!y]*", "node_modules/lightningcss*"],
  ...["node_modules/zod/src", "node_modules/yaml/browser", "node_modules/fast-check/lib/cjs"],
];
const DATA = [
  ...["config.json", "generation_config.json", "model.safetensors", "special_tokens_map.json"],
  ...["tokenizer.json", "tokenizer_config.json"],
].flatMap((file) => [`models/stories-260k/${file}`, `models/tinystories-656k/${file}`]);
const STORIES = ["sft_train", "sft_test", "preferences_train", "preferences_test"].map(
  (name) => `stories/${name}.jsonl`,
);
const TOKENIZER = ["tokenizer.json", "tokenizer_config.json"].map((file) => `tokenizers/phi3-llama2-32k/${file}`);
const PREFERENCES = "preferences/binarised_train.jsonl";
const PREFERENCE_ROWS = 2000;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);
const shared = "../shared/data";
const folder = "build/gpu";
const bundle = `${folder}/westwind-gpu.tar.xz`;
const { values } = parseArgs({
  options: {
    "with-data": { type: "boolean", default: false },
    arch: { type: "string", default: "90a" },
    addon: { type: "string" },
  },
});

mkdirSync(folder, { recursive: true });
const addon = values.addon ?? buildAddon(values.arch);
const parts = [packTools(), packSources(addon), ...(values["with-data"] ? [packData()] : [])];
// Archives one behind the other are an archive: `tar --ignore-zeros` reads it.
writeFileSync(bundle, Buffer.concat(parts.map((part) => readFileSync(part))));
const mib = statSync(bundle).size / 2 ** 20;
console.log(`${bundle}  ${mib.toFixed(1)} MiB`);
if (mib > MOST_MIB) fail(`${bundle} is ${mib.toFixed(1)} MiB, expected at most ${MOST_MIB}`);

function buildAddon(arch) {
  const options = `-DCMAKE_CUDA_ARCHITECTURES=${arch}-real -DCMAKE_CUDA_FLAGS=-lineinfo`;
  const env = { ...process.env, WESTWIND_CMAKE_ARGS: options };
  const { status } = spawnSync(process.execPath, ["scripts/build_native.mjs", "--cuda"], {
    env,
    stdio: ["ignore", 2, 2],
  });
  if (status !== 0) fail("the CUDA addon did not build");
  return "build/cuda/westwind.node";
}

/** Node and packages. They change with the lock file, and take a minute: an archive that is there is used again. */
function packTools() {
  const facts = [process.version, readFileSync("package-lock.json", "utf8"), ...PACKAGES, ...UNUSED].join("\n");
  const path = `${folder}/tools-${createHash("sha256").update(facts).digest("hex").slice(0, 12)}.tar.xz`;
  if (existsSync(path)) return path;
  for (const file of readdirSync(folder)) if (file.startsWith("tools-")) rmSync(`${folder}/${file}`);
  const staging = stage("tools");
  cpSync(process.execPath, `${staging}/bin/node`);
  execFileSync("strip", [`${staging}/bin/node`]);
  archive(`${path}.part`, [
    ...UNUSED.map((name) => `--exclude=${name}`),
    "-C",
    staging,
    "bin",
    "-C",
    root,
    ...modules(),
  ]);
  renameSync(`${path}.part`, path);
  return path;
}

/** The installed packages that PACKAGES and westwind itself lead to. */
function modules() {
  const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
  const found = new Set();
  const queue = [...PACKAGES, ...Object.keys(dependencies).filter((name) => !ONLY_FOR_BUILDS.includes(name))];
  for (const name of queue) {
    if (found.has(name) || !existsSync(`node_modules/${name}`)) continue;
    found.add(name);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(`node_modules/${name}/package.json`, "utf8"),
    );
    queue.push(...Object.keys(dependencies), ...Object.keys(optionalDependencies));
  }
  return [...found].sort().map((name) => `node_modules/${name}`);
}

function packSources(addon) {
  const staging = stage("sources");
  cpSync(addon, `${staging}/build/cuda/westwind.node`);
  const commit = spawnSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" }).stdout?.trim();
  writeFileSync(`${staging}/commit.txt`, `${commit || "unknown"}\n`);
  const path = `${folder}/sources.tar.xz`;
  archive(path, ["-C", staging, "build", "commit.txt", "-C", root, ...SOURCES, "scripts/gpu"]);
  return path;
}

/** Laid beside the sources as tests look for it. */
function packData() {
  const staging = stage("data");
  for (const file of [...DATA, ...STORIES, ...TOKENIZER]) cpSync(`${shared}/${file}`, `${staging}/shared/data/${file}`);
  const rows = readFileSync(`${shared}/${PREFERENCES}`, "utf8").split("\n").slice(0, PREFERENCE_ROWS);
  mkdirSync(dirname(`${staging}/shared/data/${PREFERENCES}`), { recursive: true });
  writeFileSync(`${staging}/shared/data/${PREFERENCES}`, `${rows.join("\n")}\n`);
  const path = `${folder}/data.tar.xz`;
  archive(path, ["-C", staging, "shared"], "");
  return path;
}

function stage(name) {
  const staging = `${root}/${folder}/${name}`;
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  return staging;
}

function archive(path, args, under = "westwind/") {
  const owner = ["--owner=0", "--group=0", `--transform=s,^,${under},`];
  const env = { ...process.env, XZ_OPT: "-6 -T0" };
  const { status } = spawnSync("tar", ["-cJf", path, ...owner, ...args], { env, stdio: ["ignore", 2, 2] });
  if (status !== 0) fail(`tar did not write ${path}`);
}

function fail(message) {
  console.error(`westwind: ${message}`);
  process.exit(1);
}
