// npm run bench:scaling [-- --only=AXIS,... --dtype=f32|bf16 --threads=N --record]: how a training step's time and memory
// grow along one axis at a time, all else fixed, and the exponent beside the one that counting operations predicts.
import { parseArgs } from "node:util";

import { Random } from "../../lib/base/random.js";
import type { TokenSequence } from "../../lib/data/encode.js";
import { textTable } from "../../lib/index.js";
import { type ModelConfig, parseModelConfig } from "../../lib/model/config.js";
import { Llama } from "../../lib/model/llama.js";
import { AdamW, type MomentsDtype } from "../../lib/optim/adamw.js";
import { totalBytes } from "../../lib/tensor/arena.js";
import { Device, systemInfo } from "../../lib/tensor/device.js";
import { SftTask } from "../../lib/train/sft.js";
import { trainStep } from "../../lib/train/step.js";
import { openDevice, Rows, resultsFile } from "../common.js";
import { drawWeights } from "../noise.js";
import { countFlops, sizeOfSequences } from "../step_flops.js";
import { exponentOf } from "./exponent.js";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    dtype: { type: "string", default: "bf16" },
    threads: { type: "string", default: "0" },
    record: { type: "boolean", default: false },
  },
});
const dtype = values.dtype as "f32" | "bf16";
const REPEATS = 3;
const PROCESSORS = systemInfo().cpu[0]!.units;

interface Point {
  readonly x: number;
  readonly model: ModelConfig;
  /** Tokens of each row. */
  readonly lengths: readonly number[];
  /** Rows of a step. Default: all. */
  readonly batch?: number;
  readonly threads?: number;
  /** Below one billion parameters f32 with a master, as everywhere; above, what fits this machine. */
  readonly moments?: MomentsDtype;
}

interface Measured {
  readonly seconds: number;
  readonly tokens: number;
  readonly flops: number;
  readonly threads: number;
  readonly parameter_bytes: number;
  readonly bytes: number;
}

const shape = (width: number, layers: number, mlp: number, vocabulary = 32064, headSize = 64) =>
  parseModelConfig({
    model_type: "llama",
    hidden_size: width,
    intermediate_size: mlp,
    num_hidden_layers: layers,
    num_attention_heads: Math.max(1, Math.round(width / headSize)),
    vocab_size: vocabulary,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
  });
const SMALL = shape(288, 6, 768, 32064, 48);
const rowsOf = (tokens: number, length: number) => new Array<number>(tokens / length).fill(length);

/** Parameters of the Llama family from 1 million to 1 billion; the smallest have a vocabulary to match. */
const SIZES = [
  shape(128, 4, 344, 2048),
  shape(256, 4, 688, 8192),
  SMALL,
  shape(512, 8, 1376),
  shape(768, 12, 2048),
  shape(1024, 24, 2816),
  shape(2048, 22, 5632),
];

const AXES: Readonly<Record<string, { readonly x: string; readonly points: readonly Point[] }>> = {
  length: {
    x: "tokens of a row, 8192 a step",
    points: [128, 256, 512, 1024, 2048, 4096, 8192].map((x) => ({ x, model: SMALL, lengths: rowsOf(8192, x) })),
  },
  batch: {
    x: "rows of 512 tokens a step",
    points: [1, 2, 4, 8, 16, 32].map((x) => ({ x, model: SMALL, lengths: rowsOf(512 * x, 512) })),
  },
  data: {
    x: "rows of 128 tokens in the data, 32 a step",
    points: [32, 64, 128, 256, 512].map((x) => ({ x, model: SMALL, lengths: rowsOf(128 * x, 128), batch: 32 })),
  },
  parameters: {
    x: "parameters, 1024 tokens a step",
    points: SIZES.map((model) => ({
      x: parametersOf(model),
      model,
      lengths: rowsOf(1024, 512),
      ...(parametersOf(model) > 5e8 && { moments: "u8" as const }),
    })),
  },
  threads: {
    x: "threads, 4096 tokens a step",
    points: [1, 2, 4, 8, 16, 32, 64]
      .filter((x) => x <= PROCESSORS)
      .map((x) => ({ x, model: SMALL, lengths: rowsOf(4096, 512), threads: x })),
  },
};

const out = (() => {
  using device = openDevice("cpu", { threads: Number(values.threads) });
  console.log(device.description);
  return new Rows(device, values.record ? resultsFile(device) : undefined, { dtype });
})();
const wanted = values.only.split(",").filter((name) => name !== "");
for (const [axis, { x: label, points }] of Object.entries(AXES)) {
  if (wanted.length > 0 && !wanted.includes(axis)) continue;
  const measured: ({ readonly x: number } & Measured)[] = [];
  for (const point of points) {
    const row = { x: point.x, ...(await measure(point)) };
    out.write({ bench: "scaling", axis, label, ...row });
    measured.push(row);
    console.log(`${axis} ${point.x}: ${(1000 * row.seconds).toFixed(0)} ms`);
  }
  const cells = measured.map(({ x, seconds, tokens, bytes }) => [
    ...[x, (1000 * seconds).toFixed(0), (tokens / seconds).toFixed(0)],
    (bytes / 1e6).toFixed(0),
  ]);
  console.log(`\n${textTable([label, "ms", "tokens/s", "MB"], cells)}`);
  const grows = (of: (row: (typeof measured)[number]) => number) =>
    exponentOf(measured.map((row) => [row.x, of(row)])).toFixed(2);
  console.log(
    `time grows with the power ${grows((row) => row.seconds)}, operations a thread with ` +
      `${grows((row) => row.flops / row.threads)}; memory with ${grows((row) => row.bytes)}\n`,
  );
}

function parametersOf({ vocabSize, hiddenSize: C, intermediateSize: F, numLayers: L }: ModelConfig): number {
  return vocabSize * C + L * (4 * C * C + 3 * C * F + 2 * C) + C;
}

/** The median pass over the rows after one that warms up, and the memory of weights, gradients, moments and activations. */
async function measure({
  model: config,
  lengths,
  batch = lengths.length,
  threads = Number(values.threads),
  moments = "f32",
}: Point): Promise<Measured> {
  using device = Device.cpu({ threads });
  using model = new Llama(device, config, { dtype, master: moments !== "u8", trainable: true });
  drawWeights(model);
  using optimizer = new AdamW(model.parameters, { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, moments });
  using task = new SftTask(model, { tokenBudget: 8192 });
  const random = new Random(1);
  const rows: TokenSequence[] = lengths.map((length) => ({
    ids: Int32Array.from({ length }, () => random.below(config.vocabSize)),
    trainable: new Uint8Array(length).fill(1),
    place: { source: "bench", index: 0 },
  }));
  const seconds: number[] = [];
  for (let step = 1; seconds.length <= REPEATS; ) {
    const started = performance.now();
    for (let first = 0; first < rows.length; first += batch) {
      await trainStep({ task, optimizer, maxGradNorm: 1 }, step++, 1e-6, [rows.slice(first, first + batch)]);
    }
    await device.sync();
    seconds.push((performance.now() - started) / 1000);
  }
  const { weights, gradients } = model.parameters.bytes;
  const size = sizeOfSequences(lengths);
  return {
    seconds: seconds.slice(1).toSorted((a, b) => a - b)[REPEATS >> 1]!,
    tokens: size.tokens,
    flops: countFlops(config, size),
    threads: threads || PROCESSORS,
    parameter_bytes: weights + gradients + optimizer.bytes,
    bytes: weights + gradients + optimizer.bytes + totalBytes(task.peak),
  };
}
