import { z } from "zod";
import { described, flag, integer, oneOf, oneOrMoreOf, real, text } from "./values.js";

export const DPO_LOSSES = [
  ...["sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired"],
  ...["aot_pair", "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm", "kto_pair"],
] as const;

export const sftMethodKeys = {
  assistant_only_loss: flag()
    .default(false)
    .describe(
      "Learn only what assistant turns say. false: every token of a conversation, as TRL and the Zephyr paper did.",
    ),
  completion_only_loss: flag()
    .nullable()
    .default(null)
    .describe("For rows with a prompt and a completion: learn only the completion; null: true for such rows."),
  loss_type: oneOf(["nll", "dft"], { chunked_nll: "nll" })
    .default("nll")
    .describe("Cross-entropy; TRL's chunked_nll is the same value and is read as nll."),
};

export const dpoMethodKeys = {
  beta: real({ above: 0 }).default(0.1).describe("Strength of the pull towards the reference model."),
  loss_type: described(oneOrMoreOf(DPO_LOSSES), "sigmoid, or other losses of TRL by name")
    .default(["sigmoid"])
    .describe("Loss of a pair: sigmoid, the loss of the DPO paper; others parse and are refused."),
  label_smoothing: real({ atLeast: 0, below: 0.5 })
    .default(0)
    .describe("Chance that a label is wrong (conservative DPO). TRL leaves it out of its sigmoid loss."),
  precompute_ref_log_probs: flag()
    .default(false)
    .describe(
      "westwind always computes the reference's log-probabilities once, before training; the key changes nothing.",
    ),
};

export const feedbackKeys = {
  rule: described(z.enum(["mean", "overall", "best-worst"]), "one of mean, overall, best-worst")
    .default("mean")
    .describe(
      "mean: the best mean rating against a random worse answer (the paper). overall: by overall_score (the released data). best-worst: the best against the worst.",
    ),
  seed: integer(0).default(0).describe("Draws the rejected answers."),
  input: text("a file or folder of scored completions, or a name on the hub").describe(
    "Scored completions: a .jsonl, .json or .jsonl.gz file, a folder of them, or a data set's name on the hub.",
  ),
  output: text("a file to write").describe("The .jsonl file of pairs to write."),
};
