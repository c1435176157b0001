import type { Command } from "commander";

import { type ParsedRecipe, parseRecipe, type RunEvent, type RunSummary, runDpo, runSft } from "../index.js";
import { DownloadProgress } from "./download_progress.js";
import { Progress, progressLine } from "./progress.js";
import { interruptible } from "./signal.js";

const WHAT = {
  sft: "fine-tune a model on dialogues (dSFT)",
  dpo: "align a model to preference pairs against its frozen self (dDPO)",
} as const;

export interface TrainingFlags {
  readonly json?: boolean;
}

export function addTraining(westwind: Command): void {
  for (const kind of ["sft", "dpo"] as const) {
    westwind
      .command(kind)
      .description(WHAT[kind])
      .argument("[recipe]", "a YAML file of alignment-handbook keys")
      .argument("[overrides...]", "--key=value pairs that go before the file's")
      .option("--json", "print a summary as one JSON object on stdout")
      .allowUnknownOption()
      .action(async (recipe: string | undefined, overrides: string[], flags: TrainingFlags) => {
        const source = recipe?.startsWith("--") ? { overrides: [recipe, ...overrides] } : { path: recipe, overrides };
        const summary = await interruptible("step", (signal) => {
          const parsed = parseRecipe(kind, source as { path?: string; overrides: string[] });
          return kind === "sft"
            ? showRun(parsed, runSft(parsed as Parameters<typeof runSft>[0], { signal }))
            : showRun(parsed, runDpo(parsed as Parameters<typeof runDpo>[0], { signal }));
        });
        if (flags.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
      });
  }
}

/** Shows a run on stderr while it goes, and returns its summary. */
export async function showRun(
  { ignored, notes }: Pick<ParsedRecipe<unknown>, "ignored" | "notes">,
  run: AsyncIterable<RunEvent>,
): Promise<RunSummary> {
  const progress = new Progress();
  if (ignored.length > 0) progress.say(`ignored: ${ignored.join("; ")}`);
  for (const note of notes) progress.say(`note: ${note}`);
  const pace = new Pace();
  try {
    for await (const event of run) {
      if (event.kind === "finished") {
        const { steps, output_dir, report } = event.summary;
        const told = report ? `, report in ${report}` : "";
        progress.say(`done: ${steps} step${steps === 1 ? "" : "s"}, model in ${output_dir}${told}`);
        return event.summary;
      }
      pace.show(event, progress);
    }
  } finally {
    progress.clear();
  }
  throw new Error("a run ends with its summary");
}

/** Follows a run's events: what is logged becomes a line, every step moves the line at the bottom. */
class Pace {
  private totalSteps = 0;
  private seconds = 0;
  private steps = 0;
  private readonly downloads = new DownloadProgress();

  show(event: Exclude<RunEvent, { kind: "finished" }>, progress: Progress): void {
    switch (event.kind) {
      case "prepared":
        this.totalSteps = event.plan.totalSteps;
        progress.say(`device: ${event.device}`);
        for (const [name, value] of event.facts) progress.say(`${name}: ${value}`);
        return;
      case "downloading":
      case "waiting":
      case "located":
        this.downloads.show(event);
        return;
      case "encoding":
        progress.update(`tokens: ${event.done} of ${event.total} rows`);
        return;
      case "reference":
        progress.update(`reference log-probabilities: ${event.done} of ${event.total} pairs`);
        return;
      case "step": {
        const { step, record, evaluation } = event;
        this.seconds += step.seconds;
        this.steps++;
        const left = ((this.totalSteps - step.step) * this.seconds) / this.steps;
        if (record) progress.say(progressLine(record, this.totalSteps, left));
        if (evaluation) progress.say(progressLine(evaluation, this.totalSteps, undefined));
        if (step.checkpoint) progress.say(`saved ${step.checkpoint}`);
        const now = {
          step: step.step,
          loss: step.loss,
          ...step.metrics.means(),
          tokens_per_second: step.tokens / step.seconds,
        };
        progress.update(progressLine(now, this.totalSteps, left));
      }
    }
  }
}
