import type { Command } from "commander";

import { compareJudgeFiles, type InBoth, type JudgeComparison, type ScoreAgreement, textTable } from "../index.js";

export function addFeedbackAgree(feedback: Command): void {
  feedback
    .command("agree")
    .description("tell how far two judges agree on the same answers")
    .argument("<a>", "completions scored by one judge: .jsonl, .json, .parquet or a folder of them")
    .argument("<b>", "the same completions scored by another")
    .option("--json", "print one JSON object instead of a table")
    .action(async (a: string, b: string, flags: { readonly json?: boolean }) => {
      const comparison = await compareJudgeFiles(a, b);
      process.stdout.write(`${flags.json ? JSON.stringify(comparison) : describe(comparison)}\n`);
    });
}

function describe({ prompts, answers, scores }: JudgeComparison): string {
  const named = Object.entries(scores);
  const ratings = named.map(([name, score]) => [name, ...ratingsRow(score)]);
  const preferences = named.map(([name, score]) => [name, ...preferencesRow(score)]);
  return [
    `prompts: ${describeCount(prompts)}`,
    `answers: ${describeCount(answers)}`,
    "",
    textTable(["ratings", "answers", "mean A", "mean B", "equal", ...STATISTICS, "both N/A", "one N/A"], ratings),
    "",
    textTable(["preferences", "pairs", "same", "opposite", "one ties", "both tie", "agreement"], preferences),
  ].join("\n");
}

const describeCount = ({ both, onlyA, onlyB }: InBoth): string =>
  `${both} in both, ${onlyA} in A alone, ${onlyB} in B alone`;

const STATISTICS = ["kappa", "weighted", "alpha ord.", "alpha int.", "Spearman"] as const;

function ratingsRow(score: ScoreAgreement): (string | number)[] {
  const { count, means, exact, kappa, weightedKappa, alphaOrdinal, alphaInterval, spearman } = score;
  const statistics = [...(means ?? [null, null]), exact, kappa, weightedKappa, alphaOrdinal, alphaInterval, spearman];
  return [count, ...statistics.map(show), score.bothNotApplicable, score.oneNotApplicable];
}

function preferencesRow({ preferences }: ScoreAgreement): (string | number)[] {
  const { pairs, same, opposite, oneTied, bothTied, agreement } = preferences;
  return [pairs, same, opposite, oneTied, bothTied, show(agreement)];
}

const show = (value: number | null): string => (value === null ? "-" : value.toFixed(3));
