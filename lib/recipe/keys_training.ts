import { z } from "zod";
import { described, flag, integer, oneOf, real, settings } from "./values.js";

/** Names of transformers' optimizers, AdamW apart: they parse, and `checkSupported` says what to do. */
const OTHER_OPTIMIZERS = [
  ...[
    "adamw_torch_4bit",
    "rmsprop",
    "rmsprop_bnb",
    "rmsprop_bnb_8bit",
    "rmsprop_bnb_32bit",
    "sgd",
    "adagrad",
    "adafactor",
  ],
  ...["lion_32bit", "lion_8bit", "paged_lion_32bit", "paged_lion_8bit", "lomo", "adalomo", "grokadamw", "stable_adamw"],
  ...["ademamix", "ademamix_8bit", "paged_ademamix_32bit", "paged_ademamix_8bit", "galore_adamw", "galore_adafactor"],
  ...["apollo_adamw", "schedule_free_adamw", "schedule_free_radam", "schedule_free_sgd"],
] as const;

const ADAMW = {
  adamw_torch: "adamw",
  adamw_torch_fused: "adamw",
  adamw_torch_xla: "adamw",
  adamw_torch_npu_fused: "adamw",
  adamw_apex_fused: "adamw",
  adamw_anyprecision: "adamw",
  adamw_hf: "adamw",
  paged_adamw: "adamw",
  paged_adamw_32bit: "adamw",
  adamw_bnb_8bit: "adamw_8bit",
  adamw_torch_8bit: "adamw_8bit",
  paged_adamw_8bit: "adamw_8bit",
} as const;

export const ADAMW_KINDS = ["adamw", "adamw_bf16", "adamw_8bit"] as const;

export const SCHEDULERS = [
  ...["linear", "cosine", "cosine_with_min_lr", "constant", "constant_with_warmup", "inverse_sqrt"],
] as const;

const OTHER_SCHEDULERS = [
  ...["cosine_with_restarts", "polynomial", "reduce_lr_on_plateau", "cosine_warmup_with_min_lr"],
  ...["warmup_stable_decay", "greedy"],
] as const;

const schedulerSettings = z.strictObject({
  min_lr: real({ atLeast: 0 }).nullable().default(null).describe("cosine_with_min_lr: the last learning rate."),
  min_lr_rate: real({ atLeast: 0, atMost: 1 })
    .nullable()
    .default(null)
    .describe("The same as a share of learning_rate."),
  num_cycles: real({ above: 0 }).nullable().default(null).describe("cosine: waves; null: 0.5, one fall."),
  timescale: integer(1).nullable().default(null).describe("inverse_sqrt: null: the warmup, or 10000 without one."),
});

export const trainingKeys = {
  num_train_epochs: real({ above: 0 }).default(3).describe("Passes over the data; a part of one is allowed."),
  max_steps: described(
    z.int().refine((n) => n === -1 || n >= 1),
    "a positive integer, or -1",
  )
    .default(-1)
    .describe("Ends the run after so many optimizer steps, whatever num_train_epochs says; -1: it does not."),
  per_device_train_batch_size: integer(1).default(8).describe("Rows of a micro-batch."),
  gradient_accumulation_steps: integer(1)
    .default(1)
    .describe("Micro-batches of an optimizer step. The loss is one mean over all of them."),
  lr_scheduler_type: described(z.enum([...SCHEDULERS, ...OTHER_SCHEDULERS]), `one of ${SCHEDULERS.join(", ")}`)
    .default("linear")
    .describe("Learning rate over the run, by transformers' formulas."),
  lr_scheduler_kwargs: settings(schedulerSettings, "a mapping with min_lr, min_lr_rate, num_cycles, timescale")
    .default({ min_lr: null, min_lr_rate: null, num_cycles: null, timescale: null })
    .describe("Settings of the schedule: min_lr or min_lr_rate, num_cycles, timescale."),
  warmup_ratio: real({ atLeast: 0, atMost: 1 })
    .default(0)
    .describe("Share of the steps over which the rate rises from 0."),
  warmup_steps: real({ atLeast: 0 })
    .default(0)
    .describe("The same in steps; more than 0 goes before warmup_ratio. Below 1 it is a ratio."),
  optim: described(
    oneOf([...ADAMW_KINDS, ...OTHER_OPTIMIZERS], ADAMW),
    "adamw_torch, adamw_bf16, adamw_8bit, or another optimizer of transformers by name",
  )
    .default("adamw")
    .describe(
      "AdamW under any of transformers' names for it (adamw, adamw_torch, adamw_bnb_8bit, ...); others parse and are refused. It keeps two moments of each parameter: 8 bytes; adamw_bf16: 4; adamw_8bit: 2.",
    ),
  master_weights: flag()
    .default(true)
    .describe(
      "Whether bfloat16 weights have 16 more bits each that only the optimizer sees. false: 2 bytes a parameter less, and updates are rounded at random.",
    ),
  weight_decay: real({ atLeast: 0 })
    .default(0)
    .describe("Decoupled decay of the weight matrices; norms and biases have none."),
  adam_beta1: real({ atLeast: 0, below: 1 }).default(0.9).describe("Decay of the mean of the gradients."),
  adam_beta2: real({ atLeast: 0, below: 1 }).default(0.999).describe("Decay of the mean of their squares."),
  adam_epsilon: real({ above: 0 }).default(1e-8).describe("Added to the root of the second moment."),
  max_grad_norm: real({ atLeast: 0 }).default(1).describe("Clips the gradient to this norm; 0: never."),
  seed: integer(0).default(42).describe("Seed of everything random in a run."),
};

export const learningRate = (value: number) =>
  real({ atLeast: 0 }).default(value).describe("Highest learning rate of the run.");
