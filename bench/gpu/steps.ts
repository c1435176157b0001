/**
 * Whole optimiser steps of DPO and SFT as a run makes them, on random weights and tokens: rows as long as lengths.json
 * says, micro-batches packed to the token budget, the reference's numbers given.
 *
 *   node --import ./bench/register.mjs bench/gpu/steps.ts --model=15m|125m|1.1b|mistral-7b [--device=cuda] [--dtype=bf16]
 *       [--tasks=dpo,sft] [--batch=64] [--pair-tokens=N] [--steps=5] [--budget=TOKENS] [--layers=N] [--matmul=8192] [--out=FILE]
 *
 * --pair-tokens leaves out the shortest pairs of the file until a batch has so many tokens a pair.
 * Without --budget the largest that fits; where even the smallest does not, fewer layers, which the row says.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { WestwindError } from "../../lib/base/errors.js";
import { Random } from "../../lib/base/random.js";
import type { TokenSequence } from "../../lib/data/encode.js";
import type { Recompute } from "../../lib/model/block.js";
import { type ModelConfig, parseModelConfig } from "../../lib/model/config.js";
import { Llama } from "../../lib/model/llama.js";
import { AdamW, type MomentsDtype } from "../../lib/optim/adamw.js";
import { totalBytes } from "../../lib/tensor/arena.js";
import { Device } from "../../lib/tensor/device.js";
import { DpoTask, type ReferencedPair } from "../../lib/train/dpo.js";
import { SftTask } from "../../lib/train/sft.js";
import { trainStep } from "../../lib/train/step.js";
import { type DeviceTask, LOGITS_BYTES, labelsIn, type TaskOptions } from "../../lib/train/task.js";
import { openDevice, Rows } from "../common.js";
import { timeKernel } from "../kernels/harness.js";
import { drawWeights } from "../noise.js";
import { countFlops, type PairLengths, type StepSize, sizeOfPairs, sizeOfSequences } from "../step_flops.js";

/** bf16 with f32 sums, dense, of an H100 or H200 SXM as NVIDIA states it. */
const NOMINAL_TFLOPS = 989;
const BUDGETS = [16384, 8192, 4096, 2048];
const RECOMPUTED: readonly Recompute[] = ["none", "elementwise"];
/** Workspaces, libraries, and what the allocator cannot use. */
const OVERHEAD = 2 * 2 ** 30;
const OPTIMIZER = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 };
const LEARNING_RATE = 1e-7;
/** Steps of large models are as even as few of them show. */
const MOST_SECONDS = 12;
const PLACE = { source: "bench", index: 0 };

/** What a task learns from. */
interface Work<Row> {
  readonly rows: readonly Row[];
  make(model: Llama, options: TaskOptions): DeviceTask<Row>;
  readonly size: StepSize;
}

function dpoWork(lengths: readonly PairLengths[], ids: (length: number) => Int32Array): Work<ReferencedPair> {
  const rows = lengths.map(([prompt, chosen, rejected]) => ({
    prompt: ids(prompt),
    chosen: ids(chosen),
    rejected: ids(rejected),
    refChosen: -10 * chosen,
    refRejected: -10 * rejected,
    place: PLACE,
  }));
  return {
    rows,
    make: (model, options) => new DpoTask(model, { ...options, beta: 0.1, labelSmoothing: 0 }),
    size: sizeOfPairs(lengths),
  };
}

function sftWork(lengths: readonly PairLengths[], ids: (length: number) => Int32Array): Work<TokenSequence> {
  const sizes = lengths.map(([prompt, chosen]) => prompt + chosen);
  return {
    rows: sizes.map((size) => ({ ids: ids(size), trainable: new Uint8Array(size).fill(1), place: PLACE })),
    make: (model, options) => new SftTask(model, options),
    size: sizeOfSequences(sizes),
  };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "15m" },
    device: { type: "string", default: "cuda" },
    dtype: { type: "string", default: "bf16" },
    tasks: { type: "string", default: "dpo,sft" },
    batch: { type: "string", default: "64" },
    "pair-tokens": { type: "string", default: "0" },
    steps: { type: "string", default: "5" },
    budget: { type: "string" },
    moments: { type: "string", default: "f32" },
    master: { type: "string", default: "true" },
    layers: { type: "string" },
    matmul: { type: "string", default: "8192" },
    out: { type: "string" },
  },
});
const dtype = values.dtype as "f32" | "bf16";
const precision = { dtype, master: values.master === "true", trainable: true };
const optimizerOptions = { ...OPTIMIZER, moments: values.moments as MomentsDtype };
const readJson = (name: string) => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8"));
const lengths = firstPairs(readJson("lengths.json"), Number(values.batch), Number(values["pair-tokens"]));
const configOf = (numLayers: number | undefined) => {
  const raw = readJson("models.json")[values.model];
  return parseModelConfig(
    { ...raw, ...(numLayers && { num_hidden_layers: numLayers }) },
    `models.json ${values.model}`,
  );
};

using device = openDevice(values.device);
const out = new Rows(device, values.out, { model: values.model, dtype });
const matmul = await matmulTflops(Number(values.matmul)).catch((error: Error) => {
  console.log(`linear_forward: ${error.message.split("\n")[0]}`);
  return Number.NaN;
});
console.log(`${device.description}; ${values.model} in ${dtype}; products at ${matmul.toFixed(1)} TFLOP/s`);
for (const name of values.tasks.split(",")) {
  try {
    const random = new Random(1);
    const { vocabSize } = configOf(undefined);
    const ids = (length: number) => Int32Array.from({ length }, () => random.below(vocabSize));
    if (name === "dpo") await measure(name, dpoWork(lengths, ids));
    else await measure(name, sftWork(lengths, ids));
  } catch (error) {
    console.log(`${name} ${values.model}: ${(error as Error).message.split("\n")[0]}`);
    out.write({ bench: `${name}_step`, error: (error as Error).message });
    process.exitCode = 1;
  }
}

/** The first `count` pairs, without the shortest ones as long as they have fewer than `tokens` each on average. */
function firstPairs(pairs: readonly PairLengths[], count: number, tokens: number): readonly PairLengths[] {
  const first = pairs.slice(0, count);
  if (first.length < count || sum(first.map(sum)) >= tokens * count) return first;
  const shortest = Math.min(...pairs.map(sum));
  return firstPairs(
    pairs.filter((pair) => sum(pair) > shortest),
    count,
    tokens,
  );
}

async function matmulTflops(side: number): Promise<number> {
  const axes = [{ R: side, C: side, F: side }];
  for await (const timing of timeKernel(device, { kernel: "linear_forward", axes, dtypes: [{ t: dtype }] })) {
    return timing.gflops / 1000;
  }
  return Number.NaN;
}

async function measure<Row>(name: string, work: Work<Row>): Promise<void> {
  const { config, options } = await planFor(work);
  using model = new Llama(device, config, precision);
  drawWeights(model);
  using optimizer = new AdamW(model.parameters, optimizerOptions);
  using task = work.make(model, options);
  const run = { task, optimizer, maxGradNorm: 1 };

  let step = 0;
  const oneStep = () => timed(() => trainStep(run, ++step, LEARNING_RATE, [work.rows]));
  const first = await oneStep();
  const times: number[] = [];
  while (times.length < Number(values.steps) && (times.length < 2 || sum(times) < MOST_SECONDS))
    times.push(await oneStep());
  const forward = await timed(() => task.forward(work.rows));
  const update = await timed(async () => {
    optimizer.zeroGradients();
    await optimizer.gradNorm();
    optimizer.step(++step, LEARNING_RATE, 0);
    await device.sync();
  });

  const seconds = times.toSorted((a, b) => a - b)[times.length >> 1]!;
  const tflops = countFlops(config, work.size) / seconds / 1e12;
  const { total, free } = device.memory;
  const row = {
    bench: `${name}_step`,
    layers: config.numLayers,
    parameters: model.parameters.weights.size,
    token_budget: options.tokenBudget,
    recompute: options.recompute,
    moments: optimizerOptions.moments,
    master: precision.master,
    batch: work.rows.length,
    tokens: work.size.tokens,
    labels: work.size.labels,
    first_seconds: first,
    seconds,
    fastest_seconds: Math.min(...times),
    forward_seconds: forward,
    optimizer_seconds: update,
    tokens_per_second: work.size.tokens / seconds,
    rows_per_second: work.rows.length / seconds,
    tflops,
    of_nominal: tflops / NOMINAL_TFLOPS,
    matmul_tflops: matmul,
    of_matmul: tflops / matmul,
    memory_gib: (total - free) / 2 ** 30,
  };
  out.write(row);
  console.log(
    `${name} ${values.model}, ${config.numLayers} layers, ${row.batch} rows of ${row.tokens} tokens, budget ` +
      `${row.token_budget}: ${(1000 * seconds).toFixed(1)} ms a step (forward ${(1000 * forward).toFixed(1)}, optimiser ` +
      `${(1000 * update).toFixed(1)}), ${row.tokens_per_second.toFixed(0)} tokens/s, ${row.rows_per_second.toFixed(1)} rows/s, ` +
      `${tflops.toFixed(1)} TFLOP/s (${(100 * row.of_nominal).toFixed(0)}% of ${NOMINAL_TFLOPS}, ` +
      `${(100 * row.of_matmul).toFixed(0)}% of products), ${row.memory_gib.toFixed(1)} GiB`,
  );
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  await device.sync();
  const started = performance.now();
  await run();
  await device.sync();
  return (performance.now() - started) / 1000;
}

/** The largest token budget, then the most layers, whose memory for a whole step is there. */
async function planFor<Row>(work: Work<Row>): Promise<{ config: ModelConfig; options: TaskOptions }> {
  const { free } = device.memory;
  const budgets = values.budget ? [Number(values.budget)] : BUDGETS;
  const whole = configOf(values.layers ? Number(values.layers) : undefined);
  for (let layers = whole.numLayers; layers > 0; layers--) {
    const config = configOf(layers);
    for (const [tokenBudget, recompute] of budgets.flatMap((budget) =>
      RECOMPUTED.map((mode) => [budget, mode] as const),
    )) {
      using plan = Device.plan();
      using model = new Llama(plan, config, precision);
      using optimizer = new AdamW(model.parameters, optimizerOptions);
      const labelBudget = labelsIn(LOGITS_BYTES.cuda, config.vocabSize);
      using task = work.make(model, { tokenBudget, labelBudget, recompute });
      await task.forwardBackward(work.rows, 1);
      const { weights, gradients } = model.parameters.bytes;
      if (weights + gradients + optimizer.bytes + totalBytes(task.peak) + OVERHEAD > free) continue;
      return { config, options: { tokenBudget, labelBudget, recompute, reserve: task.peak } };
    }
  }
  throw new WestwindError("ERR_OUT_OF_MEMORY", `${(free / 2 ** 30).toFixed(1)} GiB are too few for one layer`);
}
