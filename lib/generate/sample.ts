import type { Random } from "../base/random.js";

export interface SampleOptions {
  /** 0 takes the most likely token. */
  readonly temperature: number;
  /** Samples among the most likely tokens that together hold this share of the probability (Holtzman et al., 2020). */
  readonly topP: number;
}

/** Draws a token from logits [V]. */
export function sampleToken(logits: Float32Array, { temperature, topP }: SampleOptions, random: Random): number {
  if (temperature === 0) return argmax(logits);
  const highest = logits[argmax(logits)]!;
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - highest) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (topP >= 1) return draw(weights, undefined, random.next() * total);

  const order = Array.from(weights.keys()).sort((a, b) => weights[b]! - weights[a]! || a - b);
  let kept = 0;
  let mass = 0;
  while (mass < topP * total && kept < order.length) mass += weights[order[kept++]!]!;
  return draw(weights, order.slice(0, Math.max(kept, 1)), random.next() * mass);
}

/** The first token of `order` (default: of all) at which the running sum of weights passes `target`. */
function draw(weights: Float64Array, order: readonly number[] | undefined, target: number): number {
  const count = order?.length ?? weights.length;
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const token = order ? order[i]! : i;
    sum += weights[token]!;
    if (sum > target) return token;
  }
  return order ? order[count - 1]! : argmax(weights); // rounding left the sum a hair short
}

function argmax(values: Float32Array | Float64Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
