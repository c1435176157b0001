import type { Command } from "commander";

import { type BinarizeRule, binarizeFile, UsageError } from "../index.js";

const RULES: readonly BinarizeRule[] = ["mean", "overall", "best-worst"];

interface Flags {
  readonly rule: string;
  readonly seed: string;
  readonly output: string;
  readonly keepTruthfulqa?: boolean;
  readonly json?: boolean;
}

export function addFeedback(westwind: Command): void {
  const feedback = westwind.command("feedback").description("make preference pairs from AI feedback");
  feedback
    .command("binarize")
    .description("turn scored completions into pairs of a better and a worse answer")
    .argument("<input>", "scored completions: .jsonl, .json, .jsonl.gz or a folder of them")
    .requiredOption("--output <file>", "the .jsonl file of pairs to write")
    .option("--rule <rule>", "mean (the paper's), overall or best-worst", "mean")
    .option("--seed <number>", "draws the rejected answers", "42")
    .option("--keep-truthfulqa", "keep prompts of TruthfulQA, which evaluations use")
    .option("--json", "print the counts as one JSON object on stdout")
    .action(async (input: string, flags: Flags) => {
      const rule = RULES.find((name) => name === flags.rule);
      if (rule === undefined) throw new UsageError(`--rule: ${flags.rule}, expected one of ${RULES.join(", ")}`);
      const seed = Number(flags.seed);
      if (!Number.isSafeInteger(seed) || seed < 0)
        throw new UsageError(`--seed: ${flags.seed}, expected a whole number`);
      const counts = await binarizeFile(input, flags.output, {
        rule,
        seed,
        keepTruthfulQa: flags.keepTruthfulqa === true,
      });
      for (const [name, count] of Object.entries(counts)) process.stderr.write(`${name}: ${count}\n`);
      process.stderr.write(`pairs in ${flags.output}\n`);
      if (flags.json) process.stdout.write(`${JSON.stringify(counts)}\n`);
    });
}
