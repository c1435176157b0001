import { ConfigError } from "../base/errors.js";
import type { Random } from "../base/random.js";
import type { SamplingOptions } from "./request.js";

/** Tokens that are looked at first where only the likeliest count; more of them only if these do not hold enough. */
const FIRST_CANDIDATES = 128;

type Options = { readonly [Key in keyof Omit<SamplingOptions, "seed" | "logitBias">]-?: number };

/** Draws the tokens of one answer. It remembers them, for the penalties. */
export class Sampler {
  private readonly options: Options;
  private readonly logitBias: ReadonlyMap<number, number>;
  private readonly seen: Set<number>; // in the prompt or the answer, where repetition is penalised
  private readonly counts = new Map<number, number>(); // of the answer

  /** Throws ConfigError for an option out of its range. */
  constructor(
    options: SamplingOptions,
    prompt: Int32Array,
    private readonly random: Random,
  ) {
    const { temperature = 1, topK = 0, topP = 1, minP = 0 } = options;
    const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 } = options;
    this.options = { temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty };
    checkOptions(this.options);
    this.logitBias = options.logitBias ?? new Map();
    for (const bias of this.logitBias.values()) {
      if (!Number.isFinite(bias)) throw new ConfigError("logitBias", `${bias}, expected numbers`);
    }
    this.seen = new Set(repetitionPenalty === 1 ? [] : prompt);
  }

  /** The next token by its logits [V], which are changed. */
  next(logits: Float32Array): number {
    this.adjust(logits);
    const token = this.draw(logits);
    this.counts.set(token, (this.counts.get(token) ?? 0) + 1);
    this.seen.add(token);
    return token;
  }

  private adjust(logits: Float32Array): void {
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = this.options;
    if (repetitionPenalty !== 1) {
      for (const id of this.seen) {
        const logit = logits[id]!;
        logits[id] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
      }
    }
    if (presencePenalty !== 0 || frequencyPenalty !== 0) {
      for (const [id, count] of this.counts) logits[id]! -= presencePenalty + count * frequencyPenalty;
    }
    for (const [id, bias] of this.logitBias) if (id >= 0 && id < logits.length) logits[id]! += bias;
  }

  private draw(logits: Float32Array): number {
    const { temperature, topK, topP, minP } = this.options;
    const likeliest = argmax(logits);
    if (temperature === 0) return likeliest;
    const highest = logits[likeliest]!;
    const weightOf = (id: number): number => Math.exp((logits[id]! - highest) / temperature);
    if (topK === 0 && topP >= 1 && minP === 0) {
      const weights = new Float64Array(logits.length);
      let total = 0;
      for (let id = 0; id < logits.length; id++) total += weights[id] = weightOf(id);
      let left = this.random.next() * total;
      for (let id = 0; id < logits.length; id++) {
        left -= weights[id]!;
        if (left < 0) return id;
      }
      return likeliest; // rounding left the sum a hair short
    }

    const kept = this.candidates(logits, weightOf);
    let left = this.random.next() * kept.reduce((sum, { weight }) => sum + weight, 0);
    for (const { id, weight } of kept) {
      left -= weight;
      if (left < 0) return id;
    }
    return likeliest;
  }

  /** The likeliest tokens that topK, topP and minP leave, likeliest first: top-k first, then the share of what is left. */
  private candidates(logits: Float32Array, weightOf: (id: number) => number) {
    const { topK, topP, minP } = this.options;
    const most = topK > 0 ? Math.min(topK, logits.length) : logits.length;
    let all = 0; // weight of all that top-k leaves, if that is known without sorting
    if (topP < 1 && topK === 0) for (let id = 0; id < logits.length; id++) all += weightOf(id);
    for (let count = topK > 0 ? most : Math.min(FIRST_CANDIDATES, most); ; count = most) {
      const sorted = likeliestOf(logits, count).map((id) => ({ id, weight: weightOf(id) }));
      const total = topK > 0 ? sorted.reduce((sum, { weight }) => sum + weight, 0) : all;
      let [kept, mass] = [0, 0];
      for (const { weight } of sorted) {
        if (kept > 0 && ((topP < 1 && mass >= topP * total) || weight < minP)) return sorted.slice(0, kept);
        mass += weight;
        kept++;
      }
      if (count === most) return sorted;
    }
  }
}

/** Throws ConfigError for the first option that is out of its range. */
function checkOptions(options: Options): void {
  const { temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty } = options;
  const check = (key: string, found: number, isRight: boolean, expected: string): void => {
    if (!isRight) throw new ConfigError(key, `${found}, expected ${expected}`);
  };
  check("temperature", temperature, temperature >= 0 && temperature < Number.POSITIVE_INFINITY, "a number from 0 up");
  check("topK", topK, Number.isInteger(topK) && topK >= 0, "a whole number, 0 for no limit");
  check("topP", topP, topP > 0 && topP <= 1, "a number above 0 and at most 1");
  check("minP", minP, minP >= 0 && minP <= 1, "a number from 0 to 1");
  const isPenalty = repetitionPenalty > 0 && Number.isFinite(repetitionPenalty);
  check("repetitionPenalty", repetitionPenalty, isPenalty, "a number above 0");
  check("presencePenalty", presencePenalty, Number.isFinite(presencePenalty), "a number");
  check("frequencyPenalty", frequencyPenalty, Number.isFinite(frequencyPenalty), "a number");
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
