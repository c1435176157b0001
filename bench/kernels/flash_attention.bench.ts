import { type Axes, BF16, type KernelBench } from "./harness.js";

// One long document; documents of a tiny and of a small model packed to 3103 tokens. S = documents.
const axes = [
  { T: 1024, M: 24, H: 8, D: 64, S: 1 },
  { T: 2048, M: 24, H: 8, D: 64, S: 1 },
  { T: 2048, M: 12, H: 8, D: 128, S: 1 },
  { T: 3103, M: 18, H: 6, D: 48, S: 12 },
  { T: 3103, M: 24, H: 8, D: 16, S: 12 },
  { T: 3103, M: 16, H: 8, D: 8, S: 12 },
];

// Pairs and dialogues packed to 4096 tokens; 16k tokens of equal documents, as published figures have them.
const gpu = [
  { T: 4096, M: 48, H: 32, D: 128, S: 6 },
  { T: 8192, M: 18, H: 6, D: 48, S: 32 },
  ...[32, 16, 8, 4, 2, 1].map((S) => ({ T: 16384, M: 48, H: 32, D: 128, S })),
  ...[32, 16, 4, 1].map((S) => ({ T: 16384, M: 96, H: 32, D: 64, S })),
];

const packed: Readonly<Record<number, readonly number[]>> = {
  3103: [150, 400, 233, 310, 187, 275, 350, 162, 391, 205, 260, 180],
  4096: [640, 512, 1024, 760, 580, 580],
};
/** Tokens of each document: equal ones where nothing else is said. */
const lengths = ({ T, S }: Axes): readonly number[] => {
  const named = packed[T!] ?? [];
  return named.length === S ? named : new Array<number>(S!).fill(T! / S!);
};

/** Of each token: its place in its document, or where that begins or ends. */
const perToken = (value: (place: number, begin: number, end: number) => number) => (axes: Axes) => {
  let begin = 0;
  const values = lengths(axes).flatMap((length) => {
    const first = begin;
    begin += length;
    return Array.from({ length }, (_, place) => value(place, first, first + length));
  });
  return Int32Array.from(values);
};
const inputs = {
  positions: perToken((place) => place),
  sequence_start: perToken((_, begin) => begin),
  visible_until: perToken((_, __, end) => end),
};

/** Per visible score and channel: 4 forward, 10 backward. */
const flops = (perScore: number) => (axes: Axes) => {
  const scores = lengths(axes).reduce((sum, length) => sum + (length * (length + 1)) / 2, 0);
  return perScore * scores * axes.H! * axes.D!;
};
const scalars = ({ D }: Axes) => ({ scale: 1 / Math.sqrt(D!), window: 0 });

export const benches: KernelBench[] = [
  { kernel: "flash_attention_forward", axes, inputs, scalars, flops: flops(4) },
  { kernel: "flash_attention_backward", axes, inputs, scalars, flops: flops(10) },
  { kernel: "flash_attention_forward", on: "cuda", dtypes: BF16, axes: gpu, inputs, scalars, flops: flops(4) },
  { kernel: "flash_attention_backward", on: "cuda", dtypes: BF16, axes: gpu, inputs, scalars, flops: flops(10) },
];
