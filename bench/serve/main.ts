// npm run bench:serve [-- --model=15m|110m|1.1b --dtype=bf16|f32 --turns=5 --threads=2 --python=FILE --device=cpu|cuda
// --record --out=FILE]: how fast answers grow and prompts are read, beside transformers' generate by turns in one run; the
// share of the time in which memory alone could give the weights; and how long first and next tokens take while other
// answers grow.
//
// Needs a Python with torch and transformers (--python, WESTWIND_PEER_PYTHON or python3) and a tokenizer of Llama-2's
// vocabulary (--tokenizer). --record appends a row a line to bench/results, --out to FILE.
import { setMaxListeners } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

import { Random } from "../../lib/base/random.js";
import { loadModel } from "../../lib/checkpoint/load_model.js";
import { Engine } from "../../lib/generate/engine.js";
import type { GenerationRequest } from "../../lib/generate/request.js";
import { textTable } from "../../lib/index.js";
import type { Device } from "../../lib/tensor/device.js";
import { openDevice, Rows, resultsFile } from "../common.js";
import { timeKernel } from "../kernels/harness.js";
import { median } from "../median.js";
import { modelFolder } from "../peers/model_folder.js";
import { Stepper } from "../peers/stepper.js";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "110m" },
    dtype: { type: "string", default: "bf16" },
    turns: { type: "string", default: "5" },
    threads: { type: "string", default: "2" },
    python: { type: "string", default: process.env.WESTWIND_PEER_PYTHON ?? "python3" },
    tokenizer: {
      type: "string",
      default: join(import.meta.dirname, "../../../shared/data/tokenizers/phi3-llama2-32k"),
    },
    device: { type: "string", default: "cpu" },
    record: { type: "boolean", default: false },
    out: { type: "string" },
  },
});
const threads = Number(values.threads);
const dtype = values.dtype as "f32" | "bf16";

/** Prompts and tokens of each request, and how many there are at once. */
interface Load {
  readonly batch: number;
  readonly prompt: number;
  readonly tokens: number;
}
const loads = (device: Device): readonly (Load & { readonly name: string })[] => [
  { name: "decode, one answer", batch: 1, prompt: 32, tokens: 65 },
  { name: "decode, 16 answers", batch: 16, prompt: 32, tokens: 65 },
  ...(device.kind === "cuda" ? [{ name: "decode, 128 answers", batch: 128, prompt: 32, tokens: 65 }] : []),
  { name: "decode, one answer behind 1024 tokens", batch: 1, prompt: 1024, tokens: 33 },
  { name: "prefill, 1024 tokens", batch: 1, prompt: 1024, tokens: 1 },
];

using device = openDevice(values.device, { threads });
const folder = modelFolder(values.model, values);
using model = await loadModel(device, folder, { dtype, trainable: false });
const random = new Random(1);
const promptOf = (length: number) => Int32Array.from({ length }, () => 10 + random.below(30_000));
const file = values.out ?? (values.record ? resultsFile(device) : undefined);
const out = new Rows(device, file, { threads, model: values.model, dtype });
const peer = new Stepper("transformers", values.python, [
  join(import.meta.dirname, "transformers_generate.py"),
  ...[folder, dtype, "--device", values.device, "--threads", values.threads],
]);

try {
  await peer.ready();
  const weightBytes = model.parameters.bytes.weights;
  console.log(`${device.description}; ${values.model}, ${dtype}, ${(weightBytes / 1e6).toFixed(0)} MB of weights`);
  const table: string[][] = [];
  for (const { name, ...load } of loads(device)) {
    const turns: { readonly ours: number; readonly peer: number; readonly bandwidth: number }[] = [];
    for (let turn = 0; turn <= Number(values.turns); turn++) {
      const asked = await peer.ask<{ seconds: number; first: number }>(JSON.stringify(load));
      await sleep(30); // until the other side's threads have gone to sleep
      const mine = await generate(load);
      const bandwidth = await readBandwidth(device); // which other machines on the same memory change
      if (turn > 0) turns.push({ ours: rate(load, mine), peer: rate(load, asked), bandwidth });
    }
    const [ours, theirs] = [median(turns.map((turn) => turn.ours)), median(turns.map((turn) => turn.peer))];
    const ratios = turns.map((turn) => turn.ours / turn.peer);
    // Each step of all answers reads the weights once.
    const shares = turns.map((turn) => (turn.ours * weightBytes) / load.batch / turn.bandwidth);
    const of_floor = load.tokens > 1 ? median(shares) : undefined;
    const bandwidth = median(turns.map((turn) => turn.bandwidth));
    out.write({ bench: "serve", name, ...load, ours, peer: theirs, ratios, bandwidth, of_floor });
    table.push([
      ...[name, theirs.toFixed(1), ours.toFixed(1), `${median(ratios).toFixed(2)}x`],
      ...[of_floor === undefined ? "" : `${(100 * of_floor).toFixed(0)} %`, (bandwidth / 1e9).toFixed(1)],
    ]);
  }
  console.log(
    textTable(["work", "transformers, tokens/s", "westwind, tokens/s", "ratio", "of memory's rate", "GB/s"], table),
  );
  const { first, next } = await underLoad();
  out.write({ bench: "serve_load", answers: 16, first, next });
  console.log(
    `beside 15 growing answers: first token of 128 after ${ms(first, 0.5)} ms (95 %: ${ms(first, 0.95)}), ` +
      `next ones after ${ms(next, 0.5)} ms (95 %: ${ms(next, 0.95)})`,
  );
} finally {
  peer.stop();
}

/** Tokens a second: of prompts where one token is asked, else of answers from their second token on. */
function rate({ batch, prompt, tokens }: Load, { seconds, first }: { seconds: number; first: number }): number {
  return tokens === 1 ? (batch * prompt) / first : (batch * (tokens - 1)) / (seconds - first);
}

/** `first`: when all answers had their first token. */
async function generate({ batch, prompt, tokens }: Load): Promise<{ seconds: number; first: number }> {
  await using engine = new Engine(model, { sharePrefixes: false, tokensPerStep: Math.max(512, batch * prompt) });
  const started = performance.now();
  const since = () => (performance.now() - started) / 1000;
  const firsts = await Promise.all(
    Array.from({ length: batch }, async () => {
      let first: number | undefined;
      const request = { prompt: promptOf(prompt), maxNewTokens: tokens, temperature: 0, stopTokens: [] };
      for await (const event of engine.generate(request)) if (event.kind === "token") first ??= since();
      return first!;
    }),
  );
  return { seconds: since(), first: Math.max(...firsts) };
}

/** Seconds until the first token of prompts of 128, and between later ones, while 15 other answers grow. */
async function underLoad(): Promise<{ readonly first: number[]; readonly next: number[] }> {
  await using engine = new Engine(model, { sharePrefixes: false });
  const controller = new AbortController();
  setMaxListeners(0, controller.signal); // every request listens
  const request = (): GenerationRequest => ({ prompt: promptOf(128), temperature: 0.7, seed: 1, stopTokens: [] });
  const others = Array.from({ length: 15 }, async () => {
    while (!controller.signal.aborted) {
      const asked = { ...request(), maxNewTokens: 256, signal: controller.signal };
      try {
        for await (const _ of engine.generate(asked));
      } catch {
        return; // stopped
      }
    }
  });
  await sleep(1000);
  const [first, next]: number[][] = [[], []];
  for (let i = 0; i < 20; i++) {
    let last = performance.now();
    let isFirst = true;
    for await (const { kind } of engine.generate({ ...request(), maxNewTokens: 16 })) {
      if (kind !== "token") continue;
      const now = performance.now();
      (isFirst ? first! : next!).push((now - last) / 1000);
      [last, isFirst] = [now, false];
    }
  }
  controller.abort();
  await Promise.all(others);
  return { first: first!, next: next! };
}

function ms(seconds: readonly number[], share: number): string {
  const sorted = seconds.toSorted((a, b) => a - b);
  return (1000 * sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!).toFixed(0);
}

/** Bytes a second of a sum over more than any cache holds, the fastest of a few. */
async function readBandwidth(device: Device): Promise<number> {
  const N = device.kind === "cuda" ? 1_000_000_000 : 60_000_000;
  for await (const { us_p20 } of timeKernel(device, { kernel: "global_norm", axes: [{ N }], dtypes: [{ t: "f32" }] })) {
    return (4 * N) / us_p20 / 1e-6;
  }
  return Number.NaN;
}
