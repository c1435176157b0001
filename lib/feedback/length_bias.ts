import type { Rating } from "./rating.js";
import { mean, type Paired, spearman } from "./statistics.js";

/** Whether longer answers are rated higher. Lengths are characters. */
export interface LengthBiasReport {
  /** By criterion. */
  readonly correlations: Readonly<Record<string, LengthCorrelation>>;
  readonly wins: LengthWins;
}

export interface LengthCorrelation {
  readonly count: number;
  /** Spearman's correlation of rating and length. */
  readonly all: number | null;
  /** The same of how far both lie above the mean of the answers to one prompt: prompts that ask for more play no part. */
  readonly withinPrompts: number | null;
}

/** Pairs of answers to one prompt, of different lengths. The score is the mean of the ratings. */
export interface LengthWins {
  readonly pairs: number;
  /** How often the longer one has the higher score; a tie is half. */
  readonly longerWins: number | null;
  /**
   * How much the chance to win grows with each doubling of the length: the slope of a line through one half at equal
   * lengths, with its standard error by prompts.
   */
  readonly slopePerDoubling: number | null;
  readonly standardError: number | null;
}

export class LengthBias {
  private readonly correlations = new Map<string, { readonly all: Paired[]; readonly within: Paired[] }>();
  private readonly prompts: (readonly Pair[])[] = [];

  /** Ratings of the answers in one call, and the answers' lengths. */
  addRatings(criterion: string, ratings: readonly Rating[], lengths: readonly number[]): void {
    const rated = ratings.flatMap((rating, i): Paired[] => (rating === "N/A" ? [] : [[rating, lengths[i]!]]));
    const found = this.correlations.get(criterion) ?? { all: [], within: [] };
    this.correlations.set(criterion, found);
    found.all.push(...rated);
    const [rating, length] = [mean(rated.map(([a]) => a)), mean(rated.map(([, b]) => b))];
    if (rated.length > 1) found.within.push(...rated.map(([a, b]): Paired => [above(a, rating), above(b, length)]));
  }

  /** The answers to one prompt; one without a score tells nothing. */
  addPrompt(answers: readonly { readonly score: number | undefined; readonly length: number }[]): void {
    const pairs: Pair[] = [];
    const scored = answers.filter(({ score, length }) => score !== undefined && length > 0);
    for (const [i, one] of scored.entries()) {
      for (const other of scored.slice(i + 1)) {
        const [longer, shorter] = one.length > other.length ? [one, other] : [other, one];
        const doublings = Math.log2(longer.length / shorter.length);
        if (doublings > 0) pairs.push({ doublings, win: (1 + Math.sign(longer.score! - shorter.score!)) / 2 });
      }
    }
    this.prompts.push(pairs);
  }

  report(): LengthBiasReport {
    const correlations = [...this.correlations].map(([criterion, { all, within }]) => {
      const found = { count: all.length, all: spearman(all) ?? null, withinPrompts: spearman(within) ?? null };
      return [criterion, found] as const;
    });
    return { correlations: Object.fromEntries(correlations), wins: winsOf(this.prompts) };
  }
}

/** Equal differences are to be ties, whatever their last digits. */
const above = (value: number, center: number): number => Math.round((value - center) * 1e9) / 1e9;

interface Pair {
  /** The longer answer is 2 to the power of this times as long. */
  readonly doublings: number;
  /** 1 where it has the higher score, 0 where it has the lower, one half for a tie. */
  readonly win: number;
}

function winsOf(prompts: readonly (readonly Pair[])[]): LengthWins {
  const pairs = prompts.flat();
  if (pairs.length === 0) return { pairs: 0, longerWins: null, slopePerDoubling: null, standardError: null };
  const squares = pairs.reduce((sum, { doublings }) => sum + doublings ** 2, 0);
  const slope = pairs.reduce((sum, { doublings, win }) => sum + doublings * (win - 0.5), 0) / squares;
  const errors = prompts.map((own) =>
    own.reduce((sum, { doublings, win }) => sum + doublings * (win - 0.5 - slope * doublings), 0),
  );
  return {
    pairs: pairs.length,
    longerWins: mean(pairs.map(({ win }) => win)),
    slopePerDoubling: slope,
    standardError: prompts.length < 2 ? null : Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0)) / squares,
  };
}
