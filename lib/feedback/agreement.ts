import { mean, type Paired, ranksOf, spearman } from "./statistics.js";

/** How far two judges agree on ratings that both gave. A statistic that ratings without variation do not have is null. */
export interface Agreement {
  /** Answers that both rated with a number. */
  readonly count: number;
  /** Share of equal ratings. */
  readonly exact: number | null;
  /** Cohen's kappa of the ratings to the nearest whole number (Cohen 1960). */
  readonly kappa: number | null;
  /** Cohen's kappa with quadratic weights (Cohen 1968). */
  readonly weightedKappa: number | null;
  /** Krippendorff's alpha for ordered values, and for values with a distance (Krippendorff 2004, chapter 11). */
  readonly alphaOrdinal: number | null;
  readonly alphaInterval: number | null;
  readonly spearman: number | null;
  /** Means of the two judges' ratings. */
  readonly means: readonly [a: number, b: number] | null;
}

export function agreementOf(ratings: readonly Paired[]): Agreement {
  const hasAny = ratings.length > 0;
  return {
    count: ratings.length,
    exact: hasAny ? mean(ratings.map(([a, b]) => Number(a === b))) : null,
    kappa: kappa(ratings) ?? null,
    weightedKappa: weightedKappa(ratings) ?? null,
    alphaOrdinal: alphaOrdinal(ratings) ?? null,
    alphaInterval: alphaInterval(ratings) ?? null,
    spearman: spearman(ratings) ?? null,
    means: hasAny ? [mean(ratings.map(([a]) => a)), mean(ratings.map(([, b]) => b))] : null,
  };
}

/** 1 - observed / expected disagreement; expected is that of each rating of the one with each of the other. */
export function kappa(ratings: readonly Paired[]): number | undefined {
  const count = ratings.length;
  const whole = ratings.map(([a, b]): Paired => [Math.round(a), Math.round(b)]);
  const [first, second] = [countsOf(whole.map(([a]) => a)), countsOf(whole.map(([, b]) => b))];
  let equal = 0;
  for (const [value, often] of first) equal += often * (second.get(value) ?? 0);
  const [observed, expected] = [whole.filter(([a, b]) => a !== b).length / count, 1 - equal / count ** 2];
  return expected > 0 ? 1 - observed / expected : undefined;
}

function countsOf(values: readonly number[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/** The same where two ratings disagree by the square of their difference. */
export function weightedKappa(ratings: readonly Paired[]): number | undefined {
  const [first, second] = [ratings.map(([a]) => a), ratings.map(([, b]) => b)];
  const expected = variance(first) + variance(second) + (mean(first) - mean(second)) ** 2;
  return expected > 0 ? 1 - mean(squaredDifferences(ratings)) / expected : undefined;
}

/** Expected is the disagreement of any two of all ratings, whoever gave them; they disagree by their squared difference. */
export function alphaInterval(ratings: readonly Paired[]): number | undefined {
  const all = ratings.flat();
  const expected = (2 * variance(all) * all.length) / (all.length - 1);
  return expected > 0 ? 1 - mean(squaredDifferences(ratings)) / expected : undefined;
}

/**
 * The same of ranks among all ratings: the ordinal distance of two values, how many values lie between them with half of
 * their own, is the difference of their mean ranks.
 */
export function alphaOrdinal(ratings: readonly Paired[]): number | undefined {
  const ranks = ranksOf(ratings.flat());
  return alphaInterval(ratings.map((_, i) => [ranks[2 * i]!, ranks[2 * i + 1]!]));
}

const squaredDifferences = (ratings: readonly Paired[]): number[] => ratings.map(([a, b]) => (a - b) ** 2);

function variance(values: readonly number[]): number {
  const center = mean(values);
  return mean(values.map((value) => (value - center) ** 2));
}
