import type { Random } from "../../lib/base/random.js";
import type { Axes, KernelBench } from "./harness.js";

// One answer and 16: the likeliest token; any by its likelihood; one of those that hold 95 % of it; of the likeliest 50.
const axes = [1, 16].map((R) => ({ R, V: 32064 }));
const inputsOf = (temperature: number, topP: number, topK: number): NonNullable<KernelBench["inputs"]> => ({
  logits: ({ R, V }: Axes, random: Random) => Float32Array.from({ length: R! * V! }, () => 3 * random.normal()),
  settings: ({ R }: Axes) => Float32Array.from({ length: 3 * R! }, (_, i) => [temperature, topP, 0][i % 3]!),
  draws: ({ R }: Axes, random: Random) =>
    Int32Array.from({ length: 2 * R! }, (_, i) => (i % 2 === 0 ? topK : random.nextUint32() | 0)),
});
const entries = [inputsOf(0, 1, 0), inputsOf(0.7, 1, 0), inputsOf(0.7, 0.95, 0), inputsOf(0.7, 1, 50)].map(
  (inputs) => ({ kernel: "sample_tokens", axes, inputs }) as const,
);

const changes: KernelBench = {
  kernel: "adjust_logits",
  axes: [{ E: 4096, R: 16, V: 32064 }],
  inputs: {
    rows: ({ E, R }) => Int32Array.from({ length: E! }, (_, e) => e % R!),
    ids: ({ E, V }) => Int32Array.from({ length: E! }, (_, e) => (7 * e) % V!),
    change: 1,
  },
};
export const benches: KernelBench[] = [
  ...entries,
  changes,
  ...[...entries, changes].map((entry) => ({ ...entry, on: "cuda" }) as const),
];
