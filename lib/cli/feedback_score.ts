import type { Command } from "commander";

import {
  type LoadTextModel,
  parseFeedbackScore,
  planScore,
  type ScorePlan,
  type ScoreSummary,
  scoreFeedback,
} from "../index.js";
import { showCost } from "./feedback_report.js";
import { follow } from "./follow.js";
import { interruptible } from "./signal.js";

interface Flags {
  readonly dryRun?: boolean;
  readonly retryFailed?: boolean;
  readonly json?: boolean;
}

export function addFeedbackScore(feedback: Command, load: LoadTextModel): void {
  feedback
    .command("score")
    .description("have a judge rate completions, and tell of the judge's biases")
    .argument("[recipe]", "a YAML file")
    .argument("[overrides...]", "--key=value pairs that go before the file's")
    .option("--dry-run", "tell what would be asked and what it may cost, and ask nothing")
    .option("--retry-failed", "ask again for verdicts that were refused or could not be read")
    .option("--json", "print the counts as one JSON object on stdout")
    .allowUnknownOption()
    .action(async (path: string | undefined, overrides: string[], flags: Flags) => {
      const source = path?.startsWith("--") ? { overrides: [path, ...overrides] } : { path, overrides };
      const recipe = parseFeedbackScore(source as { path?: string; overrides: string[] });
      const { retryFailed, dryRun, json } = flags;
      const result = dryRun
        ? await planScore(recipe, { retryFailed })
        : await interruptible("answer", (signal) =>
            follow.feedback("verdicts", (report) => scoreFeedback(recipe, { retryFailed, report, signal, load })),
          );
      const lines = "journal" in result ? describePlan(result) : describeSummary(result);
      process.stderr.write(`${lines.join("\n")}\n`);
      if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
    });
}

const SHOWN_FAILURES = 5;

function describeSummary({ output, reports, failures }: ScoreSummary): string[] {
  const shown = failures
    .slice(0, SHOWN_FAILURES)
    .map(({ row, criterion, reason }) => `failed, ${row}, ${criterion}: ${reason}`);
  const others = failures.length - shown.length;
  return [
    ...shown,
    ...(others > 0 ? [`failed, ${others} more; all are in ${reports[1]}`] : []),
    `scored completions in ${output}, report on the judge in ${reports[0]}`,
  ];
}

function describePlan(plan: ScorePlan): string[] {
  const { rows, judge, calls, done, failed, prompt_tokens, most_completion_tokens, most_cost, journal, records } = plan;
  const [asked, answered] = [prompt_tokens, most_completion_tokens].map((tokens) => tokens.toLocaleString("en-US"));
  return [
    `rows: ${rows}`,
    `journal: ${records === 0 ? "nothing in" : `${records} records in`} ${journal}`,
    `calls of ${judge}: ${calls}, of which ${done} are done and ${failed} failed; ${calls - done - failed} to make`,
    `tokens: about ${asked} of prompts, at most ${answered} of replies, asked once each`,
    ...(most_cost === null ? [] : [`cost: at most ${showCost(most_cost)}, asked once each`]),
  ];
}
