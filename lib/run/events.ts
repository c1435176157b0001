import type { HubEvent } from "../hub/context.js";
import type { LogRecord } from "../report/report.js";
import type { Plan } from "../train/plan.js";
import type { StepRecord } from "../train/train.js";

/** What a run tells while it goes. Nothing is printed by the library. */
export type RunEvent =
  /** What is named by its name on the hub is found and, where it is not there, downloaded. */
  | HubEvent
  | {
      readonly kind: "prepared";
      readonly device: string;
      readonly plan: Plan;
      /** Rows kept, dropped and truncated, and where the run goes on from. */
      readonly facts: readonly (readonly [string, string | number])[];
    }
  /** Rows that are tokens now; nothing is told of rows that were encoded before. */
  | { readonly kind: "encoding"; readonly done: number; readonly total: number }
  | { readonly kind: "reference"; readonly done: number; readonly total: number }
  | { readonly kind: "step"; readonly step: StepRecord; readonly record?: LogRecord; readonly evaluation?: LogRecord }
  | { readonly kind: "finished"; readonly summary: RunSummary };

/** The end of a run in numbers, the parts before it was resumed included; the CLI prints it with --json. */
export interface RunSummary {
  readonly task: "sft" | "dpo";
  readonly output_dir: string;
  readonly steps: number;
  readonly epochs: number;
  readonly rows: number;
  /** Seconds of the training loop, evaluation and saving included, and of the reference's log-probabilities before it. */
  readonly train_runtime: number;
  readonly reference_seconds: number;
  readonly train_loss: number;
  readonly num_tokens: number;
  /** Of the median step. */
  readonly median_step_seconds: number;
  readonly tokens_per_second: number;
  readonly rows_per_second: number;
  readonly evaluation: LogRecord | null;
  readonly report: string | null;
}
