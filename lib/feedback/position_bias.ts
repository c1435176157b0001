import { Random } from "../base/random.js";
import type { Rating } from "./rating.js";
import { mean, standardError } from "./statistics.js";

/** Whether ratings depend on where an answer was shown. */
export interface PositionBiasReport {
  /** The first shown first. */
  readonly positions: readonly PositionSummary[];
  /**
   * Chance that positions drawn anew for the same ratings differ by as much, where they play no part; null without calls
   * in which ratings differ.
   */
  readonly pValue: number | null;
  /** How many such draws were made. */
  readonly permutations: number;
}

export interface PositionSummary {
  /** Numeric ratings of what was shown here. */
  readonly count: number;
  /** Null where none was a number. */
  readonly mean: number | null;
  /** How far ratings here lie above the mean of their call, with its standard error; null without a call to compare with. */
  readonly deviation: number | null;
  readonly standardError: number | null;
}

const MOST_PERMUTATIONS = 999;
const LEAST_PERMUTATIONS = 99;
/** Ratings that are moved in all permutations together: a few seconds' worth. */
const MOST_MOVES = 5e7;

/** Gathers calls of one criterion. Positions were drawn at random, so in each call every order was as likely. */
export class PositionBias {
  private readonly ratings: number[][] = [];
  /** Of each call: the positions of its numbers, and how far these lie above its mean. */
  private readonly calls: { readonly positions: number[]; readonly deviations: number[] }[] = [];

  /** Ratings in the order in which their answers were shown; "N/A" tells nothing. */
  add(shown: readonly Rating[]): void {
    const positions = [...shown.keys()].filter((position) => shown[position] !== "N/A");
    const numbers = positions.map((position) => shown[position] as number);
    while (this.ratings.length < shown.length) this.ratings.push([]);
    for (const [i, position] of positions.entries()) this.ratings[position]!.push(numbers[i]!);
    const center = mean(numbers);
    if (numbers.length > 1) this.calls.push({ positions, deviations: numbers.map((number) => number - center) });
  }

  report(seed: number): PositionBiasReport {
    const deviations = this.ratings.map((): number[] => []);
    for (const call of this.calls) {
      for (const [i, position] of call.positions.entries()) deviations[position]!.push(call.deviations[i]!);
    }
    return {
      positions: this.ratings.map((ratings, position) => ({
        count: ratings.length,
        mean: ratings.length === 0 ? null : mean(ratings),
        deviation: deviations[position]!.length === 0 ? null : mean(deviations[position]!),
        standardError: standardError(deviations[position]!) ?? null,
      })),
      ...this.test(seed),
    };
  }

  private test(seed: number): Pick<PositionBiasReport, "pValue" | "permutations"> {
    const calls = this.calls.filter(({ deviations }) => deviations.some((deviation) => deviation !== 0));
    if (calls.length === 0) return { pValue: null, permutations: 0 };
    const moves = calls.reduce((sum, { deviations }) => sum + deviations.length, 0);
    const permutations = Math.min(Math.max(Math.floor(MOST_MOVES / moves), LEAST_PERMUTATIONS), MOST_PERMUTATIONS);
    const counts = this.ratings.map(
      (_, position) => calls.filter(({ positions }) => positions.includes(position)).length,
    );
    const random = new Random(seed);
    const spread = (permute: (values: number[]) => readonly number[]): number => {
      const sums = counts.map(() => 0);
      for (const { positions, deviations } of calls) {
        const values = permute(deviations);
        for (const [i, position] of positions.entries()) sums[position]! += values[i]!;
      }
      return sums.reduce((total, sum, position) => total + (sum === 0 ? 0 : sum ** 2 / counts[position]!), 0);
    };
    const observed = spread((values) => values) * (1 - 1e-12); // sums in another order differ in their last digits
    let asFar = 1;
    for (let i = 0; i < permutations; i++) if (spread((values) => random.shuffle(values.slice())) >= observed) asFar++;
    return { pValue: asFar / (permutations + 1), permutations };
  }
}
