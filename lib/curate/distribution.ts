/** Counts how often each of some whole numbers occurs, which is all that quantiles take. */
export class Distribution {
  private readonly counts = new Map<number, number>();

  add(value: number, times = 1): void {
    this.counts.set(value, (this.counts.get(value) ?? 0) + times);
  }

  summary(): DistributionSummary {
    const inOrder = [...this.counts].sort(([a], [b]) => a - b);
    const count = inOrder.reduce((sum, [, times]) => sum + times, 0);
    const total = inOrder.reduce((sum, [value, times]) => sum + value * times, 0);
    const quantile = (share: number): number => {
      const rank = Math.max(1, Math.ceil(share * count)); // the nearest-rank quantile: one of the numbers itself
      let passed = 0;
      for (const [value, times] of inOrder) {
        passed += times;
        if (passed >= rank) return value;
      }
      return 0;
    };
    return {
      ...{ count, total, mean: count === 0 ? 0 : total / count, min: quantile(0) },
      ...{ p5: quantile(0.05), p25: quantile(0.25), median: quantile(0.5), p75: quantile(0.75), p95: quantile(0.95) },
      ...{ p99: quantile(0.99), max: quantile(1), bins: binsOf(inOrder) },
    };
  }
}

export interface DistributionSummary {
  readonly count: number;
  readonly total: number;
  readonly mean: number;
  readonly min: number;
  readonly p5: number;
  readonly p25: number;
  readonly median: number;
  readonly p75: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
  /** How many numbers are at most `upTo` and above the bin before; from the first that has any to the last. */
  readonly bins: readonly { readonly upTo: number; readonly count: number }[];
}

/** Bins that end at 0 and the powers of two; where all numbers are small, a bin a number. */
function binsOf(inOrder: readonly (readonly [value: number, times: number])[]): DistributionSummary["bins"] {
  const largest = inOrder.at(-1)?.[0] ?? 0;
  const endOf = (value: number): number => (largest <= 16 || value <= 1 ? value : 2 ** Math.ceil(Math.log2(value)));
  const bins = new Map<number, number>();
  for (const [value, times] of inOrder) {
    const end = endOf(value);
    bins.set(end, (bins.get(end) ?? 0) + times);
  }
  const [first, last] = [endOf(inOrder[0]?.[0] ?? 0), endOf(largest)];
  const ends: number[] = [];
  for (let end = first; end <= last; end = largest <= 16 || end < 1 ? end + 1 : 2 * end) ends.push(end);
  return ends.map((upTo) => ({ upTo, count: bins.get(upTo) ?? 0 }));
}
