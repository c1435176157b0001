/** Two values of the same thing. */
export type Paired = readonly [a: number, b: number];

/** NaN of none. Rounding does not carry it out of the values' range, so that equal values have no deviation from it. */
export function mean(values: readonly number[]): number {
  let [sum, least, most] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    sum += value;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return Math.min(Math.max(sum / values.length, least), most);
}

/** Standard error of the mean; undefined of fewer than two values. */
export function standardError(values: readonly number[]): number | undefined {
  if (values.length < 2) return undefined;
  const center = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - center) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}

/** Ranks from 1; equals share the mean of theirs. */
export function ranksOf(values: readonly number[]): number[] {
  const order = [...values.keys()].sort((i, j) => values[i]! - values[j]!);
  const ranks = new Array<number>(values.length);
  for (let begin = 0; begin < order.length; ) {
    let end = begin + 1;
    while (end < order.length && values[order[end]!] === values[order[begin]!]) end++;
    for (const i of order.slice(begin, end)) ranks[i] = (begin + 1 + end) / 2;
    begin = end;
  }
  return ranks;
}

/** Pearson's correlation; undefined where one side does not vary. */
export function correlation(pairs: readonly Paired[]): number | undefined {
  const [meanA, meanB] = [mean(pairs.map(([a]) => a)), mean(pairs.map(([, b]) => b))];
  let [ab, aa, bb] = [0, 0, 0];
  for (const [a, b] of pairs) {
    ab += (a - meanA) * (b - meanB);
    aa += (a - meanA) ** 2;
    bb += (b - meanB) ** 2;
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : undefined;
}

/** Spearman's rank correlation; undefined where one side does not vary. */
export function spearman(pairs: readonly Paired[]): number | undefined {
  const [a, b] = [ranksOf(pairs.map(([a]) => a)), ranksOf(pairs.map(([, b]) => b))];
  return correlation(a.map((rank, i) => [rank, b[i]!]));
}
