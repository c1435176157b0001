import type { Command } from "commander";

import {
  BINARIZE_RULES,
  type BinarizeOptions,
  type BinarizeReport,
  binarizeFile,
  DROP_REASONS,
  type RankingReport,
  rankFile,
  UsageError,
} from "../index.js";
import { hubOptions } from "./download_progress.js";
import { addNumber, WHOLE } from "./settings.js";

interface Flags {
  readonly rule: string;
  readonly seed: number;
  readonly output: string;
  readonly dropSource?: readonly string[];
  readonly keepTruthfulqa?: boolean;
  readonly minMargin?: number;
  readonly minChosen?: number;
  readonly keepAll?: boolean;
  readonly revision?: string;
  readonly json?: boolean;
}

const MARGIN = { expected: "a number from 0 up", isRight: (value: number) => value >= 0 && Number.isFinite(value) };
const SCORE = { expected: "a number", isRight: Number.isFinite };

export function addFeedbackBinarize(feedback: Command): void {
  const binarize = feedback
    .command("binarize")
    .description("turn scored completions into pairs of a better and a worse answer")
    .argument("<input>", "scored completions: .jsonl, .json, .parquet, a folder of them, or a name on the hub")
    .option("--revision <name>", "the branch, tag or commit of a data set that is found on the hub; default main")
    .requiredOption("--output <file>", "the .jsonl, .jsonl.gz or .parquet file of pairs to write")
    .option("--rule <rule>", "mean (the paper's), overall or best-worst", "mean");
  addNumber(binarize, "seed", { about: "draws the rejected answers", ...WHOLE }, 0);
  binarize
    .option("--drop-source <name>", "leave out prompts of this source; may be given several times", gather)
    .option("--keep-truthfulqa", "keep prompts of TruthfulQA, which evaluations use");
  addNumber(binarize, "min-margin", { about: "least difference of the two scores", ...MARGIN });
  addNumber(binarize, "min-chosen", { about: "least score of the better answer", ...SCORE });
  binarize
    .option("--keep-all", "write all answers of a prompt, best first, instead of a pair")
    .option("--json", "print the counts as one JSON object on stdout")
    .action(async (input: string, flags: Flags) => {
      const { output, keepAll } = flags;
      const options = optionsOf(flags);
      const write = keepAll ? rankFile : binarizeFile;
      const counts = await write(input, output, options, hubOptions(flags));
      process.stderr.write(`${describe(counts).join("\n")}\n${keepAll ? "rankings" : "pairs"} in ${output}\n`);
      if (flags.json) process.stdout.write(`${JSON.stringify(counts)}\n`);
    });
}

const gather = (name: string, before: readonly string[] = []): string[] => [...before, name];

function optionsOf(flags: Flags): BinarizeOptions {
  const rule = BINARIZE_RULES.find((name) => name === flags.rule);
  if (rule === undefined) throw new UsageError(`--rule: ${flags.rule}, expected one of ${BINARIZE_RULES.join(", ")}`);
  const { seed, dropSource: dropSources, keepTruthfulqa: keepTruthfulQa, minMargin, minChosen } = flags;
  return { rule, seed, dropSources, keepTruthfulQa, minMargin, minChosen };
}

/** The counts in words; of what was left out only what there was. */
function describe(report: BinarizeReport | RankingReport): string[] {
  const { rows, dropped, emptyCompletions, unscoredCompletions, repairedScores } = report;
  const reasons = Object.entries(DROP_REASONS) as [keyof typeof dropped, string][];
  const counts: [string, number][] = [
    ...reasons.map(([reason, why]): [string, number] => [`dropped: ${why}`, dropped[reason]]),
    ["empty completions", emptyCompletions],
    ["completions without a score", unscoredCompletions],
    ["overall scores of 10 taken as 1", repairedScores],
    ["completions that repeat a better one", "rankings" in report ? report.repeatedCompletions : 0],
  ];
  const found = counts.filter(([, count]) => count > 0).map(([what, count]) => `${what}: ${count}`);
  return [`rows: ${rows}`, "rankings" in report ? `rankings: ${report.rankings}` : `pairs: ${report.pairs}`, ...found];
}
