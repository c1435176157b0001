// npm run bench:peers [-- --quick --only=NAME,... --steps=6 --threads=2 --python=FILE --device=cpu|cuda --record --out=FILE]:
// westwind beside TRL and torch, by turns in one run: whole steps of training, then (on a CPU; bench/gpu/peers.py does it on
// a GPU) the operations they spend their time in.
//
// Needs a Python with torch, transformers, trl and datasets (--python, WESTWIND_PEER_PYTHON or python3), preference pairs
// and dialogues in JSON lines (--pairs, --chats) and a tokenizer of Llama-2's vocabulary (--tokenizer). --record appends a
// row a line to bench/results, --out to FILE.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { textTable } from "../../lib/index.js";
import type { Device } from "../../lib/tensor/device.js";
import { openDevice, Rows, resultsFile } from "../common.js";
import { timeKernel } from "../kernels/harness.js";
import { median } from "../median.js";
import { modelFolder } from "./model_folder.js";
import { measureOperations, type Operation } from "./operations.js";
import { measureTraining } from "./trainings.js";
import { TRAININGS, type Training } from "./workloads.js";

const ROOT = join(import.meta.dirname, "../..");
const DATA = join(ROOT, "../shared/data");
const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    steps: { type: "string", default: "6" },
    threads: { type: "string", default: "2" },
    python: { type: "string", default: process.env.WESTWIND_PEER_PYTHON ?? "python3" },
    pairs: { type: "string", default: join(DATA, "preferences/binarised_train.jsonl") },
    chats: { type: "string", default: join(DATA, "sft/train.jsonl") },
    tokenizer: { type: "string", default: join(DATA, "tokenizers/phi3-llama2-32k") },
    device: { type: "string", default: "cpu" },
    record: { type: "boolean", default: false },
    out: { type: "string" },
  },
});
const threads = Number(values.threads);
const wanted = values.only.split(",").filter((name) => name !== "");
const isWanted = (name: string) => wanted.length === 0 || wanted.some((part) => name.includes(part));

const imports = spawnSync(
  values.python,
  ["-c", "import torch, transformers, datasets, trl; print(torch.__version__, trl.__version__)"],
  {
    encoding: "utf8",
  },
);
if (imports.status !== 0) {
  fail(
    `${values.python}: cannot import torch, transformers, datasets and trl; --python names one that can\n${imports.stderr ?? ""}`,
  );
}
const [torch, trl] = imports.stdout.trim().split(" ");

using device = openDevice(values.device, { threads });
const trainings = TRAININGS.filter(({ on = "cpu", name }) => on === device.kind && isWanted(name));
const rowsOf = ({ task }: Training) => (task === "sft" ? values.chats : values.pairs);
for (const path of new Set([values.tokenizer, ...trainings.map(rowsOf)])) {
  if (!existsSync(path)) fail(`${path}: not found; --pairs, --chats and --tokenizer say where they are`);
}
const file = values.out ?? (values.record ? resultsFile(device) : undefined);
const out = new Rows(device, file, { threads, torch, trl });
console.log(`${device.description}; torch ${torch}, TRL ${trl}; steps by turns`);

const table: (string | number)[][] = [];
for (const training of trainings) {
  const result = await measureTraining(training, {
    python: values.python,
    model: modelFolder(training.model, values),
    rows: rowsOf(training),
    device: values.device,
    threads,
    ...stepsOf(training),
    measurePeak: () => measureProducts(device, training.dtype),
  });
  const { what, against, task, target, floorTarget } = training;
  out.write({ bench: "peers_training", name: training.name, ...result });
  const unit = task === "dpo" ? "pairs/s" : "tokens/s";
  const floor = `${percent(result.of_floor)}${floorTarget ? ` of ${percent(floorTarget)}` : ""}`;
  const memory = `${gigabytes(result.bytes)} of ${gigabytes(result.peer_bytes)} GB`;
  show([
    what,
    against,
    `${digits(result.peer)} ${unit}`,
    `${digits(result.ours)} ${unit}`,
    ...ratio(result.ratios, target),
    floor,
    memory,
  ]);
}
if (device.kind === "cpu" && isWanted("operations")) {
  for await (const { operation, result } of measureOperations(device, {
    python: values.python,
    threads,
    turns: values.quick ? 3 : 11,
  })) {
    const { target, ...asked } = operation;
    out.write({ bench: "peers_operation", ...asked, ...result });
    const ms = (seconds: number) => `${digits(1000 * seconds)} ms`;
    show([
      nameOf(operation),
      "torch, tuned",
      ms(result.peer_seconds),
      ms(result.seconds),
      ...ratio(result.ratios, target),
      "",
      "",
    ]);
  }
}
const header = ["work", "against", "peer", "westwind", "ratio", "least, most", "target", "of floor", "resident memory"];
console.log(`\n${textTable(header, table)}`);

/** A first step goes uncounted. In a hurry there are two more, or for a peer that is far slower its first alone. */
function stepsOf({ tuned }: Training): { readonly steps: number; readonly warmUps: number } {
  if (!values.quick) return { steps: Number(values.steps), warmUps: 1 };
  return tuned ? { steps: 2, warmUps: 1 } : { steps: 1, warmUps: 0 };
}

/** Each as soon as it is known, and all of them at the end. */
function show(row: (string | number)[]): void {
  table.push(row);
  console.log(row.filter((cell) => cell !== "").join("  "));
}

function ratio(ratios: readonly number[], target: number): string[] {
  const sorted = ratios.toSorted((a, b) => a - b);
  return [`${digits(median(ratios))}x`, `${digits(sorted[0]!)}, ${digits(sorted.at(-1)!)}`, `${target}x`];
}

function nameOf(operation: Operation): string {
  const { op, target: _, repeat: __, ...axes } = operation;
  return `${op} ${Object.entries(axes)
    .map(([axis, size]) => (axis === "dtype" ? size : `${axis}=${size}`))
    .join(" ")}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)}%`;
}
function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(2);
}
function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** Operations a second of a large product, the fastest of a few. */
async function measureProducts(device: Device, dtype: Training["dtype"]): Promise<number> {
  const side = device.kind === "cuda" ? 8192 : 2048;
  for await (const { gflops, us_p20, us_p50 } of timeKernel(device, {
    kernel: "linear_forward",
    axes: [{ R: side, C: side, F: side }],
    dtypes: [{ t: dtype }],
  })) {
    return (gflops * 1e9 * us_p50) / us_p20;
  }
  return Number.NaN;
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
