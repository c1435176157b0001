import type { Random } from "../../lib/base/random.js";
import { type Axes, BF16, type DTypes, dtypeBytes, type KernelBench } from "./harness.js";

const PAGE = 16;

/** `count` new tokens of each of B sequences that hold C tokens before them. */
const shape = (B: number, C: number, count: number, heads: { H: number; K: number; D: number }): Axes => {
  const P = Math.ceil((C + count) / PAGE);
  return { T: B * count, B, C, P, N: B * P * PAGE, M: heads.H + 2 * heads.K, ...heads };
};

// The next token of one sequence and of 16; a chunk of a prompt as long as a step, the first and a later one.
const small = { H: 8, K: 2, D: 64 };
const axes = [
  ...[512, 4096].flatMap((C) => [1, 16].map((B) => shape(B, C - 1, 1, small))),
  ...[0, 2048].map((C) => shape(1, C, 512, small)),
];
const large = { H: 32, K: 8, D: 128 };
const gpu = [
  ...[512, 4096].flatMap((C) => [1, 16, 128].map((B) => shape(B, C - 1, 1, large))),
  ...[0, 2048].map((C) => shape(1, C, 2048, large)),
];

const inputs = {
  pages: ({ N }: Axes, random: Random) => random.shuffle(Int32Array.from({ length: N! / PAGE }, (_, page) => page)),
  sequences: ({ T, B }: Axes) => Int32Array.from({ length: T! }, (_, t) => Math.floor((t * B!) / T!)),
  positions: ({ T, B, C }: Axes) => Int32Array.from({ length: T! }, (_, t) => C! + (t % (T! / B!))),
};
const scalars = ({ D }: Axes) => ({ scale: 1 / Math.sqrt(D!), window: 0, page_size: PAGE });

/** The keys and values of every sequence once, queries and results. */
const bytes = ({ T, B, C, H, K, D }: Axes, { t }: DTypes) =>
  (2 * B! * (C! + T! / B!) * K! + 2 * T! * H!) * D! * dtypeBytes(t);
const flops = ({ T, B, C, H, D }: Axes) => 4 * H! * D! * (T! * C! + (T! * (T! / B! + 1)) / 2);

const entry = { kernel: "paged_attention", inputs, scalars, bytes, flops } as const;
export const benches: KernelBench[] = [
  { ...entry, axes },
  { ...entry, on: "cuda", dtypes: BF16, axes: gpu },
];
