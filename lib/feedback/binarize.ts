import { createHash } from "node:crypto";
import { ConfigError } from "../base/errors.js";
import { Random } from "../base/random.js";
import type { SourceRow } from "../data/source.js";
import type { Message } from "../text/chat_template.js";
import {
  type BinarizeRule,
  type Candidate,
  type CandidateCounts,
  type CandidateOptions,
  type Candidates,
  checkCandidateOptions,
  findCandidates,
  noCounts,
} from "./candidates.js";
import { type ScoredPrompt, toScoredPrompt } from "./scored.js";

export interface BinarizeOptions extends CandidateOptions {
  /** Decides the random rejected answer. Each row draws from a stream of its own. Default 0. */
  readonly seed?: number | undefined;
}

/** A row as ultrafeedback_binarized has it, with the models and the source. */
export interface PairRow {
  readonly prompt: string;
  readonly prompt_id: string;
  readonly chosen: readonly Message[];
  readonly rejected: readonly Message[];
  /** The better chat once more, for those who fine-tune on it. */
  readonly messages: readonly Message[];
  readonly score_chosen: number;
  readonly score_rejected: number;
  readonly chosen_model: string | null;
  readonly rejected_model: string | null;
  readonly source: string | null;
}

export interface BinarizeReport extends CandidateCounts {
  readonly rule: BinarizeRule;
  readonly seed: number;
  pairs: number;
}

/** Pairs, one at a time. `report` counts what has been iterated so far and is whole at the end. */
export interface Binarized extends AsyncIterable<PairRow> {
  readonly report: BinarizeReport;
}

/**
 * Makes preference pairs from scored completions. The random choice in a row depends on the seed and on the row's own
 * prompt and models, so a part of a file or a file in another order gives the same pairs.
 * Throws ConfigError for options that cannot be and, while iterating, DataError for a row of another shape.
 */
export function binarize(
  rows: Iterable<SourceRow> | AsyncIterable<SourceRow>,
  options: BinarizeOptions = {},
): Binarized {
  const { rule = "mean", seed = 0 } = options;
  checkCandidateOptions(options);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new ConfigError("seed", `${seed}, expected a whole number >= 0`);
  const report: BinarizeReport = { rule, seed, pairs: 0, ...noCounts() };

  async function* pairs(): AsyncGenerator<PairRow> {
    for await (const fields of rows) {
      const row = toScoredPrompt(fields);
      const candidates = findCandidates(row, options, report);
      if (candidates === undefined) continue;
      report.pairs++;
      yield toPairRow(row, candidates.best, chooseRejected(row, candidates, rule, seed));
    }
  }
  const iterator = pairs(); // one pass: iterating again must not count the rows twice
  return { report, [Symbol.asyncIterator]: () => iterator };
}

function chooseRejected(row: ScoredPrompt, { lower }: Candidates, rule: BinarizeRule, seed: number): Candidate {
  if (rule === "best-worst") return lower.reduce((a, b) => (b.score < a.score ? b : a));
  return lower[rowRandom(row, seed).below(lower.length)]!;
}

/** A generator for this row alone: other rows, and their order, do not move it. */
function rowRandom({ messages, completions }: ScoredPrompt, seed: number): Random {
  const prompt = messages.length === 1 ? messages[0]!.content : messages;
  const key = JSON.stringify([prompt, completions.map(({ model }) => model)]);
  return new Random(seed, createHash("sha256").update(key).digest().readUInt32LE(0));
}

/** The row's own name for its prompt, or the prompt's SHA-256. */
export const promptIdOf = ({ prompt, promptId }: ScoredPrompt): string =>
  promptId ?? createHash("sha256").update(prompt).digest("hex");

function toPairRow(row: ScoredPrompt, better: Candidate, worse: Candidate): PairRow {
  const chosen = [...row.messages, { role: "assistant", content: better.response }];
  return {
    prompt: row.prompt,
    prompt_id: promptIdOf(row),
    chosen,
    rejected: [...row.messages, { role: "assistant", content: worse.response }],
    messages: chosen,
    score_chosen: better.score,
    score_rejected: worse.score,
    chosen_model: better.model,
    rejected_model: worse.model,
    source: row.source,
  };
}
