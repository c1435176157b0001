import type { Command } from "commander";

import { BINARIZE_RULES, type BinarizeReport, binarizeFile, DROP_REASONS, UsageError } from "../index.js";
import { hubOptions } from "./download_progress.js";

interface Flags {
  readonly rule: string;
  readonly seed: string;
  readonly output: string;
  readonly keepTruthfulqa?: boolean;
  readonly revision?: string;
  readonly json?: boolean;
}

export function addFeedbackBinarize(feedback: Command): void {
  feedback
    .command("binarize")
    .description("turn scored completions into pairs of a better and a worse answer")
    .argument("<input>", "scored completions: .jsonl, .json, .jsonl.gz, a folder of them, or a name on the hub")
    .option("--revision <name>", "the branch, tag or commit of a data set that is found on the hub; default main")
    .requiredOption("--output <file>", "the .jsonl file of pairs to write")
    .option("--rule <rule>", "mean (the paper's), overall or best-worst", "mean")
    .option("--seed <number>", "draws the rejected answers", "0")
    .option("--keep-truthfulqa", "keep prompts of TruthfulQA, which evaluations use")
    .option("--json", "print the counts as one JSON object on stdout")
    .action(async (input: string, flags: Flags) => {
      const rule = BINARIZE_RULES.find((name) => name === flags.rule);
      if (rule === undefined)
        throw new UsageError(`--rule: ${flags.rule}, expected one of ${BINARIZE_RULES.join(", ")}`);
      const seed = Number(flags.seed);
      if (flags.seed === "" || !Number.isSafeInteger(seed) || seed < 0)
        throw new UsageError(`--seed: ${flags.seed}, expected a whole number`);
      const options = { rule, seed, keepTruthfulQa: flags.keepTruthfulqa === true };
      const counts = await binarizeFile(input, flags.output, options, hubOptions(flags));
      process.stderr.write(`${describe(counts).join("\n")}\npairs in ${flags.output}\n`);
      if (flags.json) process.stdout.write(`${JSON.stringify(counts)}\n`);
    });
}

/** The counts in words; of what was left out only what there was. */
function describe({ rows, pairs, dropped, ...others }: BinarizeReport): string[] {
  const counts = [
    ...Object.entries(DROP_REASONS).map(
      ([key, why]) => [`dropped: ${why}`, dropped[key as keyof typeof dropped]] as const,
    ),
    ["empty completions", others.emptyCompletions] as const,
    ["completions without a score", others.unscoredCompletions] as const,
    ["overall scores of 10 taken as 1", others.repairedScores] as const,
  ];
  const found = counts.filter(([, count]) => count > 0).map(([what, count]) => `${what}: ${count}`);
  return [`rows: ${rows}`, `pairs: ${pairs}`, ...found];
}
