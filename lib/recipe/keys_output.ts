import { flag, flagOrText, integer, steps, strategy, text } from "./values.js";

export const outputKeys = {
  output_dir: text("a folder to write to").describe(
    "Folder for the trained model, checkpoints, log.jsonl and report.md.",
  ),
  overwrite_output_dir: flag().default(false).describe("Take over a folder of another run and delete its checkpoints."),
  resume_from_checkpoint: flagOrText("the path of a checkpoint")
    .default(false)
    .describe("true: go on from the last checkpoint in output_dir; a path: from that one."),
  logging_strategy: strategy(["no", "epoch", "steps"]).default("steps").describe("When a line is added to log.jsonl."),
  logging_steps: steps().default(10).describe("Steps between two lines, for `steps`."),
  logging_first_step: flag().default(false).describe("Also log the first step."),
  eval_strategy: strategy(["no", "epoch", "steps"])
    .default("no")
    .describe("When to evaluate on the test split. Also spelt evaluation_strategy."),
  eval_steps: steps()
    .nullable()
    .default(null)
    .describe("Steps between two evaluations, for `steps`; null: logging_steps."),
  do_eval: flag().default(false).describe("Evaluate at the end. Any eval_strategy but `no` sets it."),
  per_device_eval_batch_size: integer(1).default(8).describe("Rows of a micro-batch in evaluation."),
  save_strategy: strategy(["no", "epoch", "steps", "best"])
    .default("steps")
    .describe("When to write a checkpoint. The trained model is saved at the end in any case."),
  save_steps: steps().default(500).describe("Steps between two checkpoints, for `steps`."),
  save_total_limit: integer(1).nullable().default(null).describe("Checkpoints kept, newest first; null: all."),
  report: flag()
    .default(true)
    .describe("Write report.md: the recipe, data counts, curves, samples before and after, speed."),
  report_samples: integer(0).default(3).describe("Prompts answered before and after training, for the report."),
  report_sample_tokens: integer(1).default(128).describe("Most tokens of such an answer."),
};
