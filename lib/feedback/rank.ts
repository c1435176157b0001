import type { SourceRow } from "../data/source.js";
import type { Message } from "../text/chat_template.js";
import { promptIdOf } from "./binarize.js";
import {
  type BinarizeRule,
  type Candidate,
  type CandidateCounts,
  type CandidateOptions,
  checkCandidateOptions,
  findCandidates,
  noCounts,
} from "./candidates.js";
import { type ScoredPrompt, toScoredPrompt } from "./scored.js";

/** A prompt with all its scored answers, best first, for losses over lists of answers. */
export interface RankingRow {
  readonly prompt: string;
  readonly prompt_id: string;
  /** The chat up to the answers. */
  readonly messages: readonly Message[];
  readonly responses: readonly RankedResponse[];
  readonly source: string | null;
}

export interface RankedResponse {
  /** What follows the prompt's messages. */
  readonly messages: readonly Message[];
  readonly score: number;
  readonly model: string | null;
}

export interface RankingReport extends CandidateCounts {
  readonly rule: BinarizeRule;
  rankings: number;
  /** Completions left out because a better one of the row is the same text. */
  repeatedCompletions: number;
}

/** Rankings, one at a time. `report` counts what has been iterated so far and is whole at the end. */
export interface Ranked extends AsyncIterable<RankingRow> {
  readonly report: RankingReport;
}

/**
 * Ranks the scored completions of each prompt; equals stay in the row's order. Rows that would give no pair give no ranking:
 * `minMargin` is that of the best and the worst, `minChosen` the best's. Throws ConfigError for options that cannot be and,
 * while iterating, DataError for a row of another shape.
 */
export function rankCompletions(
  rows: Iterable<SourceRow> | AsyncIterable<SourceRow>,
  options: CandidateOptions = {},
): Ranked {
  checkCandidateOptions(options);
  const report: RankingReport = { rule: options.rule ?? "mean", rankings: 0, repeatedCompletions: 0, ...noCounts() };

  async function* rankings(): AsyncGenerator<RankingRow> {
    for await (const fields of rows) {
      const row = toScoredPrompt(fields);
      const candidates = findCandidates(row, options, report);
      if (candidates === undefined) continue;
      const ranked = candidates.all.toSorted((a, b) => b.score - a.score);
      const distinct = ranked.filter(
        ({ response }, i) => ranked.findIndex((other) => other.response === response) === i,
      );
      report.rankings++;
      report.repeatedCompletions += ranked.length - distinct.length;
      yield toRankingRow(row, distinct);
    }
  }
  const iterator = rankings(); // one pass: iterating again must not count the rows twice
  return { report, [Symbol.asyncIterator]: () => iterator };
}

function toRankingRow(row: ScoredPrompt, ranked: readonly Candidate[]): RankingRow {
  return {
    prompt: row.prompt,
    prompt_id: promptIdOf(row),
    messages: row.messages,
    responses: ranked.map(({ response, score, model }) => ({
      messages: [{ role: "assistant", content: response }],
      score,
      model,
    })),
    source: row.source,
  };
}
