export type MetricEntry = [name: string, sum: number, weight: number];

/** Means in the making: for each name a weighted sum. Micro-batches, steps and ranks add up without rounding twice. */
export class Metrics {
  private readonly sums = new Map<string, { sum: number; weight: number }>();

  /** What `toJSON` gave. */
  static from(entries: readonly MetricEntry[]): Metrics {
    const metrics = new Metrics();
    for (const entry of entries) metrics.add(...entry);
    return metrics;
  }

  toJSON(): MetricEntry[] {
    return [...this.sums].map(([name, { sum, weight }]) => [name, sum, weight]);
  }

  add(name: string, sum: number, weight: number): void {
    const entry = this.sums.get(name);
    if (entry === undefined) {
      this.sums.set(name, { sum, weight });
    } else {
      entry.sum += sum;
      entry.weight += weight;
    }
  }

  merge(other: Metrics): void {
    for (const [name, { sum, weight }] of other.sums) this.add(name, sum, weight);
  }

  sum(name: string): number {
    return this.sums.get(name)?.sum ?? 0;
  }

  mean(name: string): number {
    const entry = this.sums.get(name);
    return entry && entry.weight > 0 ? entry.sum / entry.weight : Number.NaN;
  }

  /** Every mean, in the order the names were first added. */
  means(): Record<string, number> {
    return Object.fromEntries([...this.sums.keys()].map((name) => [name, this.mean(name)]));
  }
}

export function sumOf(values: ArrayLike<number>, begin = 0, end = values.length): number {
  let sum = 0;
  for (let i = begin; i < end; i++) sum += values[i]!;
  return sum;
}

export async function merged(parts: readonly Promise<Metrics>[]): Promise<Metrics> {
  const metrics = new Metrics();
  for (const part of await Promise.all(parts)) metrics.merge(part);
  return metrics;
}
