// npm run build:cuda: compiles the CUDA backend for every GPU generation, from nothing and with warnings as errors, and
// says what came out: size, targets, kernels, registers spilled to memory. Needs nvcc, no GPU. Exits 1 where a kernel
// that scripts/cuda_spills.json does not name spills, or one that it names spills more.
//   --write   puts what spills now into that file
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = `${root}/build/cuda`;
const allowList = `${root}/scripts/cuda_spills.json`;
const options = ["-DCMAKE_CUDA_FLAGS=-Xptxas=-v", "-DWW_WARNINGS_AS_ERRORS=ON"];

rmSync(`${folder}/cmake`, { recursive: true, force: true }); // what is up to date says nothing of its registers
const built = spawnSync(process.execPath, ["scripts/build_native.mjs", "--cuda"], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, WESTWIND_CMAKE_ARGS: options.join(" ") },
});
if (built.status !== 0) process.exit(built.status ?? 1);

const kernels = readResources(readFileSync(`${root}/build/cuda.log`, "utf8"));
const targets = [...new Set(kernels.map(({ target }) => target))].sort();
const spilling = kernels.filter(({ spilled }) => spilled > 0);
const mib = (statSync(`${folder}/westwind.node`).size / 2 ** 20).toFixed(1);
console.log(`build/cuda/westwind.node: ${mib} MiB`);
console.log(`for ${generationsOf(`${folder}/cmake/CMakeCache.txt`)}`);
for (const target of targets) {
  const of = kernels.filter((kernel) => kernel.target === target);
  const spills = of.filter(({ spilled }) => spilled > 0).length;
  const most = Math.max(...of.map(({ registers }) => registers));
  console.log(`${target}: ${of.length} kernels, at most ${most} registers, ${spills} spill`);
}
for (const { target, name, spilled } of spilling) console.log(`  ${target} ${name}: ${spilled} bytes spilled`);

const found = Object.fromEntries(spilling.map(({ target, name, spilled }) => [`${target} ${name}`, spilled]));
if (process.argv.includes("--write")) writeFileSync(allowList, `${JSON.stringify(found, null, 2)}\n`);
const allowed = JSON.parse(readFileSync(allowList, "utf8"));
const refused = Object.keys(found).filter((key) => found[key] > (allowed[key] ?? 0));
for (const key of refused) {
  console.error(`westwind: ${key} spills ${found[key]} bytes, expected at most ${allowed[key] ?? 0}`);
}
if (kernels.length === 0) console.error("westwind: the assembler named no kernel");
process.exit(refused.length > 0 || kernels.length === 0 ? 1 : 0);

/** As CMake was told: "80-real" is machine code, "90-virtual" PTX that a driver compiles for what comes later. */
function generationsOf(cache) {
  return /^CMAKE_CUDA_ARCHITECTURES:\w+=(.*)$/m.exec(readFileSync(cache, "utf8"))[1].replaceAll(";", ", ");
}

/** What ptxas -v printed: for each kernel and target its registers, and the bytes stored and loaded for want of more. */
function readResources(log) {
  const kernels = [];
  let current;
  for (const line of log.split("\n")) {
    const entry = /Compiling entry function '(\w+)' for '(\w+)'/.exec(line);
    if (entry) {
      current = { name: shortNameOf(entry[1]), target: entry[2], spilled: 0, registers: 0 };
      kernels.push(current);
    }
    const spill = /(\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    if (spill && current) current.spilled = Number(spill[1]) + Number(spill[2]);
    const registers = /Used (\d+) registers/.exec(line);
    if (registers && current) {
      current.registers = Number(registers[1]);
      current = undefined; // a function that follows is called by kernels: what it spills is theirs to say
    }
  }
  return kernels;
}

/** "flash_key_kernelILi128ELi1": a mangled name without the namespaces, the hash of its file and the parameters. */
function shortNameOf(mangled) {
  const local = /^_ZN2ww4cuda\d+_GLOBAL__N__[0-9a-f]{8}_\d+_\w+?_cu_[0-9a-f]{8}\d+(\w+)$/.exec(mangled)?.[1] ?? mangled;
  return local.split("EEEv")[0];
}
