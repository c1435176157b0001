import { MemoryError } from "../base/errors.js";
import type { PackOptions } from "../data/pack.js";
import type { ModelConfig } from "../model/config.js";
import { Llama } from "../model/llama.js";
import type { ParametersOptions } from "../model/parameters.js";
import { AdamW } from "../optim/adamw.js";
import type { TrainingRecipe } from "../recipe/schema.js";
import { textTable } from "../report/table.js";
import { type ArenaBytes, totalBytes } from "../tensor/arena.js";
import { Device } from "../tensor/device.js";
import { LOGITS_BYTES, labelsIn, type TaskOptions } from "../train/task.js";
import type { Prepared } from "./prepared.js";
import type { Settings } from "./settings.js";

type Model = ParametersOptions & { readonly config: ModelConfig };

interface MemoryPlan {
  readonly weights: number;
  readonly gradients: number;
  readonly optimizer: number;
  readonly activations: ArenaBytes;
}

/** Tokens at once on the CPU: enough for every core, little memory. */
const CPU_BUDGET = 8192;
/** On a GPU the first that fits: beyond the first, products get no faster. */
const GPU_BUDGETS = [16384, 8192, 4096, 2048, 1024];
/** With fewer tokens at once products are so much slower that computing blocks twice may cost no more. */
const REPEATED_BUDGET = 2048;
const AUTO = ["none", "elementwise", "block"] as const;
/** Workspaces of kernels, the libraries' own and what the allocator cannot use. */
const OVERHEAD = 1.5 * 2 ** 30;

/**
 * How many tokens go through the model at once, and the memory for that, counted before any is taken. Throws MemoryError
 * with the parts when a whole step does not fit on a GPU.
 */
export async function fitMemory<Row>(
  device: Device,
  recipe: TrainingRecipe,
  settings: Settings,
  prepared: Prepared<Row>,
  model: Model,
): Promise<TaskOptions> {
  const isCpu = device.kind === "cpu";
  const rows = Math.max(recipe.per_device_train_batch_size, recipe.per_device_eval_batch_size);
  const budgets = recipe.token_budget !== null ? [recipe.token_budget] : isCpu ? [CPU_BUDGET] : GPU_BUDGETS;
  const labelBudget = labelsIn(LOGITS_BYTES[isCpu ? "cpu" : "cuda"], model.config.vocabSize);
  const { free } = device.memory;
  let plan: MemoryPlan | undefined;
  const modes = recipe.recompute === "auto" ? AUTO : [recipe.recompute];
  for (const tokenBudget of budgets) {
    const tokens = Math.min(Math.max(tokenBudget, prepared.longest), rows * prepared.longest);
    for (const recompute of modes.filter(
      (mode) => mode !== "block" || mode === modes[0] || tokenBudget <= REPEATED_BUDGET,
    )) {
      const options = { tokenBudget, labelBudget, recompute };
      plan = await planMemory(settings, prepared, model, options, tokens);
      if (totalOf(plan) + OVERHEAD <= free) return { ...options, reserve: plan.activations };
      if (isCpu) return options; // what batches need is taken as they come, and may be less
    }
  }
  throw new MemoryError(device.description, describe(plan!, free));
}

/** Runs one step on a device that only counts. */
async function planMemory<Row>(
  { optimizer: options }: Settings,
  prepared: Prepared<Row>,
  { config, ...precision }: Model,
  taskOptions: TaskOptions & Required<PackOptions>,
  tokens: number,
): Promise<MemoryPlan> {
  using device = Device.plan();
  using model = new Llama(device, config, precision);
  using optimizer = new AdamW(model.parameters, options);
  using task = prepared.task(model, taskOptions);
  await task.forwardBackward([prepared.widestRow(tokens, taskOptions.labelBudget)], 1);
  const { bytes } = model.parameters;
  return {
    weights: bytes.weights,
    gradients: bytes.gradients,
    optimizer: optimizer.bytes,
    activations: task.peak,
  };
}

function totalOf({ weights, gradients, optimizer, activations }: MemoryPlan): number {
  return weights + gradients + optimizer + totalBytes(activations);
}

function describe(plan: MemoryPlan, free: number): string {
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  const rows = [
    ["weights", gib(plan.weights)],
    ["gradients", gib(plan.gradients)],
    ["optimiser", gib(plan.optimizer)],
    ["activations kept for backward", gib(plan.activations.kept)],
    ["activations of one layer", gib(totalBytes(plan.activations) - plan.activations.kept)],
    ["workspaces", gib(OVERHEAD)],
  ];
  const needed = totalOf(plan) + OVERHEAD;
  return `a step needs ${gib(needed)}, ${gib(free)} are free; lower token_budget or max_length, or keep less with optim: adamw_8bit and master_weights: false\n${textTable(["part", "memory"], rows)}`;
}
