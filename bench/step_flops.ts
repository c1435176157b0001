import type { ModelConfig } from "../lib/model/config.js";

/** What a training step goes through. */
export interface StepSize {
  /** Tokens that go through the model, and the labels among them. */
  readonly tokens: number;
  readonly labels: number;
  /** Visible pairs of query and key. */
  readonly scores: number;
}

export type PairLengths = readonly [prompt: number, chosen: number, rejected: number];

const triangle = (n: number) => (n * (n + 1)) / 2;
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** Of DPO, whose answers share their prompt. */
export function sizeOfPairs(lengths: readonly PairLengths[]): StepSize {
  return {
    tokens: sum(lengths.flat()),
    labels: sum(lengths.map(([, chosen, rejected]) => chosen + rejected)),
    scores: sum(lengths.map(([p, c, r]) => triangle(p) + p * (c + r) + triangle(c) + triangle(r))),
  };
}

/** Of SFT with a label for every token but the first. */
export function sizeOfSequences(lengths: readonly number[]): StepSize {
  return { tokens: sum(lengths), labels: sum(lengths) - lengths.length, scores: sum(lengths.map(triangle)) };
}

/** Model operations of forward and backward: 6 for each token and weight, 14 for each visible score and channel. */
export function countFlops(config: ModelConfig, { tokens, labels, scores }: StepSize): number {
  const { numLayers: L, numHeads: H, numKvHeads: K, headSize: D, hiddenSize: C, intermediateSize: F } = config;
  const block = C * D * (H + 2 * K) + H * D * C + 3 * C * F;
  return 6 * L * block * tokens + 6 * config.vocabSize * C * labels + 14 * L * H * D * scores;
}
