// npm run bench:gate [-- --update]: counts the instructions that the CPU backend executes in a step of a tiny model, which
// no load on the machine changes, and compares them with expected.json: more than 3 % above fails. --update writes what
// was counted. Needs valgrind, which knows no AVX-512: the AVX2 kernels are counted.
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const HERE = import.meta.dirname;
const EXPECTED = join(HERE, "expected.json");
const ALLOWED = 1.03;
const RUNS = ["sft f32", "sft bf16", "dpo f32", "dpo bf16"];

if (spawnSync("valgrind", ["--version"]).status !== 0) skip("valgrind is not installed");
const compiler = builtBy();
const expected = JSON.parse(readFileSync(EXPECTED, "utf8"));
const isUpdate = process.argv.includes("--update");
if (!isUpdate && compiler !== expected.compiler) {
  skip(`built by ${compiler}; what ${expected.compiler} makes is known, --update counts anew`);
}

const counts = {};
const waiting = [...RUNS];
const next = async () => {
  for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) counts[run] = await count(run);
};
await Promise.all([next(), next()]);

let failed = false;
for (const run of RUNS) {
  const before = expected.instructions[run];
  const change = before === undefined ? "" : `  ${(100 * (counts[run] / before - 1)).toFixed(2)} % against ${before}`;
  const isMore = before !== undefined && counts[run] > ALLOWED * before;
  failed ||= isMore;
  console.log(
    `${run.padEnd(9)} ${String(counts[run]).padStart(12)} instructions${change}${isMore ? "  too many" : ""}`,
  );
}
if (isUpdate) {
  const instructions = Object.fromEntries(RUNS.map((run) => [run, counts[run]]));
  writeFileSync(EXPECTED, `${JSON.stringify({ compiler, instructions }, null, 2)}\n`);
} else if (failed) {
  console.error(
    `more than ${((ALLOWED - 1) * 100).toFixed(0)} % above expected.json; if that is meant, run with --update`,
  );
  process.exit(1);
}

/** Inside the commands of the stream: not JavaScript, and not the waiting of threads. */
function count(run) {
  const tool = [
    "--tool=callgrind",
    "--fair-sched=yes",
    "--callgrind-out-file=/dev/null",
    "--toggle-collect=ww::cpu::CpuStream::execute*",
  ];
  return new Promise((resolve, reject) => {
    const child = spawn("valgrind", [...tool, process.execPath, join(HERE, "steps.mjs"), ...run.split(" ")]);
    let text = "";
    child.stderr.on("data", (data) => {
      text += data;
    });
    child.on("close", (status) => {
      const collected = /Collected : (\d+)/.exec(text)?.[1];
      if (status === 0 && Number(collected) > 0) resolve(Number(collected));
      else reject(new Error(`${run}: valgrind counted nothing\n${text.slice(-2000)}`));
    });
  });
}

function builtBy() {
  const folder = join(HERE, "../../build/cmake/CMakeFiles");
  const version = readdirSync(folder).find((name) => /^\d+\.\d+/.test(name));
  const text = readFileSync(join(folder, version, "CMakeCXXCompiler.cmake"), "utf8");
  const [, id] = /CMAKE_CXX_COMPILER_ID "(\w+)"/.exec(text);
  const [, number] = /CMAKE_CXX_COMPILER_VERSION "([\d.]+)"/.exec(text);
  return `${id} ${number}`;
}

function skip(reason) {
  console.log(`nothing counted: ${reason}`);
  process.exit(0);
}
