import type { Command } from "commander";

import {
  type FeedbackPlan,
  type FeedbackSummary,
  generateFeedback,
  type LoadTextModel,
  parseFeedbackGenerate,
  planFeedback,
  textTable,
} from "../index.js";
import { showCost } from "./feedback_report.js";
import { follow } from "./follow.js";
import { interruptible } from "./signal.js";

interface Flags {
  readonly dryRun?: boolean;
  readonly retryFailed?: boolean;
  readonly json?: boolean;
}

export function addFeedbackGenerate(feedback: Command, load: LoadTextModel): void {
  feedback
    .command("generate")
    .description("have several models answer prompts, endpoints or of this machine")
    .argument("[recipe]", "a YAML file")
    .argument("[overrides...]", "--key=value pairs that go before the file's")
    .option("--dry-run", "tell what would be asked and what it may cost, and ask nothing")
    .option("--retry-failed", "ask again for answers that were refused")
    .option("--json", "print the counts as one JSON object on stdout")
    .allowUnknownOption()
    .action(async (path: string | undefined, overrides: string[], flags: Flags) => {
      const source = path?.startsWith("--") ? { overrides: [path, ...overrides] } : { path, overrides };
      const recipe = parseFeedbackGenerate(source as { path?: string; overrides: string[] });
      const { retryFailed, dryRun, json } = flags;
      const result = dryRun
        ? await planFeedback(recipe, { retryFailed })
        : await interruptible("answer", (signal) =>
            follow.feedback("answers", (report) => generateFeedback(recipe, { retryFailed, report, signal, load })),
          );
      const lines = "journal" in result ? describePlan(result) : describeSummary(result);
      process.stderr.write(`${lines.join("\n")}\n`);
      if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
    });
}

const SHOWN_REASONS = 5;

function describeSummary({ output, failures }: FeedbackSummary): string[] {
  const shown = failures.slice(0, SHOWN_REASONS).map(({ reason, count }) => `failed, ${count}: ${reason}`);
  const others = failures.slice(SHOWN_REASONS).reduce((sum, { count }) => sum + count, 0);
  return [...shown, ...(others > 0 ? [`failed, ${others}: for other reasons`] : []), `completions in ${output}`];
}

function describePlan({ prompts, models, journal, records }: FeedbackPlan): string[] {
  const rows = models.map((one) => [
    one.model,
    one.answers,
    one.done,
    one.failed,
    one.answers - one.done - one.failed,
    ...[one.prompt_tokens, one.most_completion_tokens].map((count) => count.toLocaleString("en-US")),
    one.most_cost === null ? "" : showCost(one.most_cost),
  ]);
  const header = ["model", "answers", "done", "failed", "to ask", "prompt tokens, about", "completion tokens, at most"];
  const cost = models.reduce((sum, one) => sum + (one.most_cost ?? 0), 0);
  return [
    `prompts: ${prompts}`,
    `journal: ${records === 0 ? "nothing in" : `${records} records in`} ${journal}`,
    textTable([...header, "cost, at most"], rows),
    ...(models.some((one) => one.most_cost !== null) ? [`cost in all: at most ${showCost(cost)}`] : []),
  ];
}
