import { z } from "zod";
import { anything, described, flag, integer, real, text, texts } from "./values.js";

/**
 * Keys of features that are not here yet. They parse, so that every recipe can be read; `checkSupported` refuses any
 * value but the default, which turns the feature off. What the settings of an absent feature say does not matter.
 */
export const laterKeys = {
  use_peft: flag().default(false).describe("Train LoRA adapters instead of all weights."),
  load_in_4bit: flag().default(false).describe("Load the weights quantised to 4 bits."),
  load_in_8bit: flag().default(false).describe("Load the weights quantised to 8 bits."),
  chat_template_path: text()
    .nullable()
    .default(null)
    .describe("A template's file; write its text or name in chat_template."),
  eos_token: text().nullable().default(null).describe("Another token as the end of an answer than the tokenizer's."),
  truncation_side: described(z.enum(["left", "right"]), "one of left, right")
    .nullable()
    .default(null)
    .describe("Use truncation_mode."),
  train_sampling_strategy: described(
    z.enum(["random", "sequential", "group_by_length"]),
    "one of random, sequential, group_by_length",
  )
    .default("random")
    .describe("Use data_order."),
  group_by_length: flag()
    .default(false)
    .describe("Rows of like length together. Nothing is padded here, so it would gain nothing."),
  dataloader_drop_last: flag().default(false).describe("Leave out an epoch's last, smaller batch."),
  datasets: anything().nullable().default(null).describe("TRL's mixture; use dataset_mixture."),
  dataset_streaming: flag().default(false).describe("Read rows while training."),
  test_split_size: real().nullable().default(null).describe("TRL's mixture; use dataset_mixture.test_split_size."),
  optim_args: anything().nullable().default(null).describe("Settings of optimizers that are not here."),
  optim_target_modules: anything().nullable().default(null).describe("Train some modules with GaLore or APOLLO."),
  neftune_noise_alpha: real().nullable().default(null).describe("Noise on the embeddings."),
  label_smoothing_factor: real().default(0).describe("Smoothing of next-token labels."),
  load_best_model_at_end: flag().default(false).describe("End with the checkpoint that evaluated best."),
  eval_on_start: flag().default(false).describe("Evaluate before the first step."),
  eval_delay: real().default(0).describe("No evaluation before then."),
  save_only_model: flag().default(false).describe("Checkpoints without what resuming needs."),
};

/** What these say matters only with the feature on, and that is refused. */
export const loraKeys = {
  lora_r: integer(1).default(16).describe("Rank of the adapters."),
  lora_alpha: real().default(32).describe("Scale of the adapters."),
  lora_dropout: real({ atLeast: 0, below: 1 }).default(0.05).describe("Dropout before the adapters."),
  lora_target_modules: texts().nullable().default(null).describe("Modules with adapters."),
  lora_target_parameters: texts().nullable().default(null).describe("Parameters with adapters."),
  lora_modules_to_save: texts().nullable().default(null).describe("Modules trained whole beside the adapters."),
  use_rslora: flag().default(false).describe("Rank-stabilised scale."),
  use_dora: flag().default(false).describe("Weight-decomposed adapters."),
};

export const dpoLaterKeys = {
  loss_weights: anything().nullable().default(null).describe("Weights of several losses."),
  f_divergence_type: text().default("reverse_kl").describe("Other divergences than the reverse KL."),
  ld_alpha: real().nullable().default(null).describe("Length-desensitised DPO."),
  use_weighting: flag().default(false).describe("Weighted preference optimisation."),
  rpo_alpha: real().nullable().default(null).describe("Likelihood of the chosen answer added to the loss."),
  reference_free: flag().default(false).describe("No reference model."),
  sync_ref_model: flag().default(false).describe("Move the reference towards the model while training."),
  max_completion_length: integer(1).nullable().default(null).describe("Cut answers; use max_length."),
  generate_during_eval: flag().default(false).describe("Sample answers in every evaluation."),
};
