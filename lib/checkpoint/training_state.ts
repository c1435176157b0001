import { join } from "node:path";
import { FileError } from "../base/errors.js";
import { writeFileAtomic } from "../base/files.js";
import { readJson } from "../base/json.js";
import type { Llama } from "../model/llama.js";
import type { AdamW } from "../optim/adamw.js";
import type { AnyTensor, DType } from "../tensor/tensor.js";
import { loadTensors, loadWeights } from "./load_model.js";
import { resolveWeights } from "./resolve_weights.js";
import { readSafetensorsHeader } from "./safetensors.js";
import { safetensorsFile } from "./safetensors_write.js";
import { tensorEntry } from "./save_model.js";
import { locateWeights } from "./weights_index.js";

/**
 * Where a run stands. The schedule and the order of the data are functions of it and of the run's settings (random
 * numbers are drawn from counter-based streams), so that it is all that the next step needs besides the tensors.
 */
export interface Progress {
  /** Optimiser steps done. */
  readonly step: number;
  /** Epochs done in full. */
  readonly epoch: number;
  /** Micro-batches done in the current epoch. */
  readonly microBatch: number;
  /** Tokens seen, as `num_tokens` counts them. */
  readonly numTokens: number;
}

const STATE_FILE = "trainer_state.json";
const OPTIMIZER_FILE = "optimizer.safetensors";

/** Writes what goes beside the model's weights in a checkpoint: the optimiser's state and the progress. */
export async function saveTrainingState(folder: string, optimizer: AdamW, progress: Progress): Promise<void> {
  const entries = states(optimizer).map(([name, tensor]) => {
    return tensorEntry(name, tensor.shape, tensor, tensor.dtype as Exclude<DType, "i32">);
  });
  const { size, chunks } = safetensorsFile(entries);
  await writeFileAtomic(join(folder, OPTIMIZER_FILE), chunks, { size });
  await writeFileAtomic(join(folder, STATE_FILE), `${JSON.stringify(progress, null, 2)}\n`);
}

/** Puts weights, moments and progress back, bit for bit. */
export async function loadTrainingState(folder: string, model: Llama, optimizer: AdamW): Promise<Progress> {
  await loadWeights(model.parameters, await resolveWeights(model.config, await locateWeights(folder), folder), folder);
  const file = join(folder, OPTIMIZER_FILE);
  const { tensors } = await readSafetensorsHeader(file);
  const pairs = states(optimizer).map(([name, tensor]) => {
    const stored = tensors.get(name);
    const dtype = tensor.dtype.toUpperCase();
    if (stored?.dtype === dtype && stored.shape.join() === tensor.shape.join()) {
      return [tensor, { file, ...stored }] as const;
    }
    const found = stored ? `${stored.dtype} ${JSON.stringify(stored.shape)}` : "nothing";
    throw new FileError(file, `${name} is ${found}, expected ${dtype} ${JSON.stringify(tensor.shape)}`);
  });
  await loadTensors(pairs);
  return (await readJson(join(folder, STATE_FILE))) as Progress;
}

function states({ moments, parameters: { low } }: AdamW): [string, AnyTensor][] {
  return Object.entries({ ...moments, low }).filter(([, { size }]) => size > 0);
}
