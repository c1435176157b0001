import type { AdamWOptions } from "../optim/adamw.js";
import type { ScheduleOptions, SchedulerKind } from "../optim/schedule.js";
import type { TrainingRecipe } from "../recipe/schema.js";
import { type Plan, planSteps } from "../train/plan.js";

/** Every so many steps; 0 is at the end of each epoch, Infinity never. */
type Interval = number;

/** What a recipe's keys come to once the number of rows is known. */
export interface Settings {
  readonly plan: Plan;
  readonly schedule: ScheduleOptions;
  readonly optimizer: AdamWOptions;
  readonly logEvery: Interval;
  readonly evaluateEvery: Interval;
  readonly saveEvery: Interval;
}

const MOMENTS = { adamw: "f32", adamw_bf16: "bf16", adamw_8bit: "u8" } as const;

export function settingsOf(recipe: TrainingRecipe, numRows: number): Settings {
  const plan = planSteps({
    numRows,
    batchSize: recipe.per_device_train_batch_size,
    accumulation: recipe.gradient_accumulation_steps,
    epochs: recipe.num_train_epochs,
    maxSteps: recipe.max_steps,
    warmupSteps: recipe.warmup_steps,
    warmupRatio: recipe.warmup_ratio,
  });
  const interval = (strategy: string, steps: number): Interval => {
    if (strategy === "no") return Infinity;
    if (strategy === "epoch") return 0;
    return steps < 1 ? Math.ceil(steps * plan.totalSteps) : steps;
  };
  return {
    plan,
    schedule: scheduleOf(recipe, plan),
    optimizer: {
      beta1: recipe.adam_beta1,
      beta2: recipe.adam_beta2,
      eps: recipe.adam_epsilon,
      weightDecay: recipe.weight_decay,
      moments: MOMENTS[recipe.optim as keyof typeof MOMENTS],
    },
    logEvery: interval(recipe.logging_strategy, recipe.logging_steps),
    evaluateEvery: interval(recipe.eval_strategy, recipe.eval_steps ?? recipe.logging_steps),
    saveEvery: interval(recipe.save_strategy, recipe.save_steps),
  };
}

function scheduleOf(recipe: TrainingRecipe, { warmupSteps, totalSteps }: Plan): ScheduleOptions {
  const { min_lr, min_lr_rate, num_cycles, timescale } = recipe.lr_scheduler_kwargs;
  const kind = recipe.lr_scheduler_type as SchedulerKind;
  const minLrRate = min_lr === null ? min_lr_rate : min_lr / recipe.learning_rate;
  return {
    kind,
    learningRate: recipe.learning_rate,
    warmupSteps,
    totalSteps,
    ...(minLrRate !== null && { minLrRate }),
    ...(num_cycles !== null && { numCycles: num_cycles }),
    ...(timescale !== null && { timescale }),
  };
}
