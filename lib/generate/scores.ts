import type { ScoredToken, TokenLogprob } from "./request.js";

export interface Scorer {
  /** How many of the likeliest tokens to tell beside it. */
  readonly count: number;
  readonly bytesOf: (id: number) => Uint8Array;
}

/** A token's log-probability by logits [V], and the likeliest in its place. */
export function scoreToken(logits: Float32Array, id: number, { count, bytesOf }: Scorer): ScoredToken {
  const total = logSumExp(logits);
  const of = (token: number): TokenLogprob => ({ id: token, bytes: bytesOf(token), logprob: logits[token]! - total });
  return { ...of(id), top: likeliestOf(logits, Math.min(count, logits.length)).map(of) };
}

/** The ids of the `count` largest logits, largest first, the lower id of two that are equal. */
export function likeliestOf(logits: Float32Array, count: number): number[] {
  return count <= MOST_IN_HEAP ? fewLikeliest(logits, count) : allByLikelihood(logits).slice(0, count);
}

/** Up to so many are found in a heap; more of them by sorting all, which takes the same time whatever they are. */
const MOST_IN_HEAP = 512;

function fewLikeliest(logits: Float32Array, count: number): number[] {
  const isBelow = (a: number, b: number): boolean => logits[a]! < logits[b]! || (logits[a] === logits[b] && a > b);
  const heap: number[] = []; // the least of them first
  const sift = (from: number): void => {
    for (let i = from; ; ) {
      let child = 2 * i + 1;
      if (child >= heap.length) return;
      if (child + 1 < heap.length && isBelow(heap[child + 1]!, heap[child]!)) child++;
      if (!isBelow(heap[child]!, heap[i]!)) return;
      [heap[i], heap[child]] = [heap[child]!, heap[i]!];
      i = child;
    }
  };
  if (count === 0) return heap;
  for (let id = 0; id < logits.length; id++) {
    if (heap.length < count) {
      heap.push(id);
      if (heap.length === count) for (let i = count >> 1; i >= 0; i--) sift(i);
    } else if (logits[id]! > logits[heap[0]!]!) {
      heap[0] = id;
      sift(0);
    }
  }
  return heap.sort((a, b) => (isBelow(a, b) ? 1 : -1));
}

/** Sorts numbers, not ids by a comparison: a logit's bits in the order of the logits, and behind them the id from the last. */
function allByLikelihood(logits: Float32Array): number[] {
  const bits = new Int32Array(logits.slice().buffer);
  const last = logits.length - 1;
  const keys = Float64Array.from(bits, (word, id) => {
    const plain = word === -(2 ** 31) ? 0 : word; // -0 is as large as 0
    return (plain < 0 ? -(2 ** 31) - plain : plain) * ID_RANGE + (last - id);
  }).sort();
  return Array.from(keys, (_, i) => {
    const key = keys[last - i]!;
    return last - (key - Math.floor(key / ID_RANGE) * ID_RANGE);
  });
}

/** More ids than any vocabulary has; with 32 bits before them a key is a whole number that a double holds. */
const ID_RANGE = 2 ** 21;

/** ln sum exp of logits [V]: what a logit is less than to be a log-probability. */
export function logSumExp(logits: Float32Array): number {
  const highest = logits[argmax(logits)]!;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id]! - highest);
  return highest + Math.log(sum);
}

function argmax(values: Float32Array): number {
  let [best, highest] = [0, values[0]!];
  for (let i = 1; i < values.length; i++) {
    const value = values[i]!;
    if (value > highest) [best, highest] = [i, value];
  }
  return best;
}
