import { LengthBias, type LengthBiasReport } from "./length_bias.js";
import { PositionBias, type PositionBiasReport } from "./position_bias.js";
import type { Rating } from "./rating.js";
import { type CallRecord, hasFailed } from "./score.js";
import { meanOf, type ScoredPrompt } from "./scored.js";

/** What can be seen of a judge in what it said, without knowing better. */
export interface JudgeReport {
  readonly prompts: number;
  /** By criterion. */
  readonly criteria: Readonly<Record<string, CriterionReport>>;
  /** By the answers' model: ratings of all aspects together. */
  readonly models: Readonly<Record<string, RatingSummary>>;
  readonly length: LengthBiasReport;
}

export interface RatingSummary {
  /** Answers that were rated, "N/A" included. */
  readonly answers: number;
  readonly mean: number | null;
  /** How often each was given, numbers to the nearest whole one. */
  readonly ratings: Readonly<Record<string, number>>;
  readonly notApplicableShare: number | null;
}

export interface CriterionReport extends RatingSummary {
  readonly calls: number;
  readonly failed: number;
  readonly failedShare: number | null;
  readonly position: PositionBiasReport;
}

/** Gathers what a judge said of row after row. */
export class JudgeStatistics {
  private prompts = 0;
  private readonly criteria = new Map<string, Gathered>();
  private readonly models = new Map<string, RatingCounts>();
  private readonly length = new LengthBias();

  add(row: ScoredPrompt, records: readonly CallRecord[]): void {
    this.prompts++;
    const ofAnswers = row.completions.map((): Rating[] => []);
    const overall = row.completions.map((): Rating[] => []);
    for (const record of records) {
      const { criterion } = record;
      const gathered = at(this.criteria, criterion, () => new Gathered());
      gathered.calls++;
      if (hasFailed(record)) {
        gathered.failed++;
        continue;
      }
      const { order } = record;
      const ratings = record.ratings.map(({ rating }) => rating);
      gathered.position.add(ratings);
      for (const [shown, i] of order.entries()) {
        const rating = ratings[shown]!;
        gathered.counts.add(rating);
        (criterion === "overall" ? overall : ofAnswers)[i]!.push(rating);
        if (criterion === "overall") continue;
        at(this.models, row.completions[i]!.model ?? "unknown", () => new RatingCounts()).add(rating);
      }
      const lengths = order.map((i) => row.completions[i]!.response.length);
      this.length.addRatings(criterion, ratings, lengths);
    }
    this.length.addPrompt(
      row.completions.map(({ response }, i) => ({
        score: meanOf(ofAnswers[i]!.length > 0 ? ofAnswers[i]! : overall[i]!),
        length: response.length,
      })),
    );
  }

  /** `seed` draws the permutations of the position test. */
  report(seed = 0): JudgeReport {
    return {
      prompts: this.prompts,
      criteria: toRecord(this.criteria, (gathered) => gathered.report(seed)),
      models: toRecord(this.models, (counts) => counts.summary()),
      length: this.length.report(),
    };
  }
}

class Gathered {
  calls = 0;
  failed = 0;
  readonly counts = new RatingCounts();
  readonly position = new PositionBias();

  report(seed: number): CriterionReport {
    return {
      calls: this.calls,
      failed: this.failed,
      failedShare: shareOf(this.failed, this.calls),
      ...this.counts.summary(),
      position: this.position.report(seed),
    };
  }
}

class RatingCounts {
  private answers = 0;
  private sum = 0;
  private readonly ratings = new Map<string, number>();

  add(rating: Rating): void {
    const name = rating === "N/A" ? rating : String(Math.round(rating));
    this.answers++;
    if (rating !== "N/A") this.sum += rating;
    this.ratings.set(name, (this.ratings.get(name) ?? 0) + 1);
  }

  summary(): RatingSummary {
    const notApplicable = this.ratings.get("N/A") ?? 0;
    return {
      answers: this.answers,
      mean: shareOf(this.sum, this.answers - notApplicable),
      ratings: Object.fromEntries(
        [...this.ratings].toSorted(([a], [b]) => a.localeCompare(b, "en", { numeric: true })),
      ),
      notApplicableShare: shareOf(notApplicable, this.answers),
    };
  }
}

const shareOf = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);

function at<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}

const toRecord = <From, To>(map: ReadonlyMap<string, From>, report: (from: From) => To): Record<string, To> =>
  Object.fromEntries([...map].map(([name, value]) => [name, report(value)]));
