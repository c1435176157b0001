import { described, flag, oneOf, oneOrMoreOf, real } from "./values.js";

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
