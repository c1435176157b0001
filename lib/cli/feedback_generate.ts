import type { Command } from "commander";

import {
  type FeedbackPlan,
  type FeedbackProgress,
  type FeedbackSummary,
  generateFeedback,
  type LoadTextModel,
  type MemberProgress,
  parseFeedbackGenerate,
  planFeedback,
  showDuration,
  showNumber,
  textTable,
} from "../index.js";
import { Progress, type Terminal } from "./progress.js";
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
        : await interruptible("answer", async (signal) => {
            const shown = new FeedbackReport();
            const report = (progress: FeedbackProgress): void => shown.report(progress);
            return await generateFeedback(recipe, { retryFailed, report, signal, load }).finally(() => shown.end());
          });
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

/** Shows how far it is: on a terminal at every answer, elsewhere a line at every tenth of them; at the end a table. */
export class FeedbackReport {
  private readonly progress: Progress;
  private last: FeedbackProgress | undefined;
  private tenths = 0;

  /** `what` is counted. */
  constructor(
    private readonly terminal: Terminal = process.stderr,
    private readonly what = "answers",
  ) {
    this.progress = new Progress(terminal);
  }

  report(now: FeedbackProgress): void {
    const { done, total, continued } = now;
    if (this.last === undefined && continued > 0)
      this.progress.say(`there already: ${continued} of ${total} ${this.what}`);
    this.last = now;
    this.progress.update(describe(now, this.what));
    const tenths = Math.floor((10 * done) / total);
    if (!this.terminal.isTTY && tenths > this.tenths && done > continued) this.progress.say(describe(now, this.what));
    this.tenths = tenths;
  }

  end(): void {
    this.progress.clear();
    if (this.last !== undefined) this.progress.say(table(this.last, this.what));
  }
}

function describe(progress: FeedbackProgress, what: string): string {
  const { done, total, continued, seconds, failed, cost, models } = progress;
  const rate = (done - continued) / seconds;
  const parts = [
    `${done}/${total} ${what}`,
    ...(done > continued ? [`${showNumber(rate)}/s`, `${showDuration((total - done) / rate)} left`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(cost > 0 ? [`cost ${showCost(cost)}`] : []),
  ];
  const each = models
    .filter((one) => one.total > 0)
    .map((one) => `${one.model} ${one.done}/${one.total}${spendOf(one)}`);
  return `${parts.join("  ")}  (${each.join(", ")})`;
}

const spendOf = ({ cost }: MemberProgress): string => (cost > 0 ? ` ${showCost(cost)}` : "");
export const showCost = (cost: number): string => (cost === 0 ? "0" : cost.toFixed(cost < 0.1 ? 4 : 2));

function table({ done, total, failed, seconds, models }: FeedbackProgress, what: string): string {
  const rows = models.map((one) => {
    const tokens = [one.prompt_tokens, one.completion_tokens].map((count) => count.toLocaleString("en-US"));
    return [one.model, one.total, one.done - one.failed, one.failed, ...tokens, showCost(one.cost)];
  });
  const header = ["model", "wanted", "answered", "failed", "prompt tokens", "completion tokens", "cost"];
  const failures = failed > 0 ? `, ${failed} of them failed` : "";
  return `${done} of ${total} ${what}${failures}, ${showDuration(seconds)}\n${textTable(header, rows)}`;
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
