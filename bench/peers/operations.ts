import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { adamw } from "../../lib/kernels/adamw.js";
import { fill } from "../../lib/kernels/fill.js";
import { flashAttention, flashAttentionBackward } from "../../lib/kernels/flash_attention.js";
import { tokenLogProbs, tokenLogProbsBackward } from "../../lib/kernels/token_log_probs.js";
import { Arena } from "../../lib/tensor/arena.js";
import type { Device } from "../../lib/tensor/device.js";
import type { AnyTensor, DType } from "../../lib/tensor/tensor.js";
import { median } from "../median.js";
import { fillWithNoise } from "../noise.js";
import { Stepper } from "./stepper.js";

/** What torch_ops.py is asked for, and how many times faster westwind is to be. */
export type Operation = { readonly target: number; readonly repeat: number } & (
  | { readonly op: "attention"; readonly T: number; readonly H: number; readonly D: number; readonly dtype: DType }
  | { readonly op: "head"; readonly N: number; readonly C: number; readonly V: number; readonly dtype: DType }
  | { readonly op: "adamw"; readonly N: number }
);

const attention = { op: "attention", H: 8, D: 64, target: 3, repeat: 3 } as const;
const head = { op: "head", N: 2048, C: 288, V: 32000, repeat: 1 } as const;
export const OPERATIONS: readonly Operation[] = [
  { ...attention, T: 1024, dtype: "f32" },
  { ...attention, T: 1024, dtype: "bf16" },
  { ...attention, T: 2048, dtype: "f32" },
  { ...attention, T: 2048, dtype: "bf16" },
  { ...head, dtype: "f32", target: 1.15 },
  { ...head, dtype: "bf16", target: 1.5 },
  { op: "adamw", N: 100_000_000, target: 1, repeat: 1 },
];

export interface OperationResult {
  readonly peer_seconds: number;
  readonly seconds: number;
  readonly ratios: readonly number[];
}

/** Torch and westwind by turns; a turn is the median of a few repetitions. */
export async function* measureOperations(
  device: Device,
  setting: { readonly python: string; readonly threads: number; readonly turns: number },
): AsyncGenerator<{ readonly operation: Operation; readonly result: OperationResult }> {
  const args = [join(import.meta.dirname, "torch_ops.py"), "--threads", `${setting.threads}`];
  const env = { MALLOC_MMAP_THRESHOLD_: "4294967296", MALLOC_TRIM_THRESHOLD_: "4294967296" };
  const torch = new Stepper("torch", setting.python, args, env);
  try {
    await torch.ready();
    for (const operation of OPERATIONS) {
      const { target: _, ...asked } = operation;
      using arena = new Arena(device);
      const run = prepare(arena, operation);
      await timed(device, run);
      const results: [peer: number, ours: number][] = [];
      for (let turn = 0; turn <= setting.turns; turn++) {
        const { seconds } = await torch.ask<{ seconds: number[] }>(JSON.stringify(asked));
        await sleep(30);
        const ours: number[] = [];
        while (ours.length < operation.repeat) ours.push(await timed(device, run));
        if (turn > 0) results.push([median(seconds), median(ours)]);
      }
      const result = {
        peer_seconds: median(results.map(([peer]) => peer)),
        seconds: median(results.map(([, ours]) => ours)),
        ratios: results.map(([peer, ours]) => peer / ours),
      };
      yield { operation, result };
    }
  } finally {
    torch.stop();
  }
}

async function timed(device: Device, run: () => void): Promise<number> {
  const started = performance.now();
  run();
  await device.sync();
  return (performance.now() - started) / 1000;
}

function prepare(arena: Arena, operation: Operation): () => void {
  const noise = <Axes extends string>(shape: readonly number[], dtype: DType, scale = 1) => {
    const tensor = arena.empty<Axes>(shape, dtype);
    fillWithNoise(tensor as AnyTensor, scale);
    return tensor;
  };
  const ids = <Axis extends string>(length: number, id: (i: number) => number) =>
    arena.from<Axis>(Int32Array.from({ length }, (_, i) => id(i)));
  const passing = arena.part("passing");
  if (operation.op === "attention") {
    const { T, H, D, dtype } = operation;
    const qkv = noise<"T,M,D">([T, 3 * H, D], dtype);
    const dy = noise<"T,H,D">([T, H, D], dtype);
    const mask = {
      positions: ids<"T">(T, (i) => i),
      sequenceStart: ids<"T">(T, () => 0),
      visibleUntil: ids<"T">(T, () => T),
    };
    return () => {
      passing.reset();
      const { saved } = flashAttention(passing, qkv, mask, { numHeads: H, scale: 1 / Math.sqrt(D), window: 0 });
      flashAttentionBackward(passing, dy, saved);
    };
  }
  if (operation.op === "head") {
    const { N, C, V, dtype } = operation;
    const hidden = noise<"T,C">([N, C], dtype);
    const weight = noise<"V,C">([V, C], dtype, 0.05);
    const pairs = { rows: ids<"N">(N, (i) => i), labels: ids<"N">(N, (i) => (i * 7919) % V) };
    const dlogProbs = noise<"N">([N], "f32", 1 / N);
    const dweight = fill(arena.empty<"V,C">([V, C], "f32"), 0);
    return () => {
      passing.reset();
      const { saved } = tokenLogProbs(passing, { hidden, weight, ...pairs }, { keepLogits: true });
      tokenLogProbsBackward(passing, dlogProbs, saved, dweight);
    };
  }
  const { N } = operation;
  const zeros = () => fill(arena.empty<"N">([N], "f32"), 0);
  const [grad, moments] = [noise<"N">([N], "f32"), { m: zeros(), v: zeros() }];
  const update = {
    weight: noise<"N">([N], "f32"),
    low: arena.empty<"L">([0], "u16"),
    lr: 1e-5,
    beta1: 0.9,
    beta2: 0.999,
  };
  const rest = {
    eps: 1e-8,
    weightDecay: 0.01,
    correction1: 0.1,
    correction2: 0.001,
    gradScale: 1,
    decayed: N,
    step: 1,
  };
  return () => adamw(grad, moments, { ...update, ...rest });
}
