import { ConfigError } from "../base/errors.js";

export interface PlanOptions {
  readonly numRows: number;
  readonly batchSize: number;
  readonly accumulation: number;
  readonly epochs: number;
  /** More than 0: ends the run there, whatever `epochs` says. */
  readonly maxSteps: number;
  readonly warmupSteps: number;
  /** Used when `warmupSteps` is 0. */
  readonly warmupRatio: number;
}

/** How many steps a run has, counted as transformers does: the last batch of an epoch may be smaller. */
export interface Plan {
  readonly microBatchesPerEpoch: number;
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
  readonly warmupSteps: number;
}

export function planSteps(options: PlanOptions): Plan {
  const { numRows, batchSize, accumulation, epochs, maxSteps } = options;
  if (!(numRows > 0)) throw new ConfigError("rows", "there are none, expected at least one to train on");
  const microBatchesPerEpoch = Math.ceil(numRows / batchSize);
  const stepsPerEpoch = Math.ceil(microBatchesPerEpoch / accumulation);
  const totalSteps = maxSteps > 0 ? maxSteps : Math.ceil(epochs * stepsPerEpoch);
  const warmupSteps = options.warmupSteps > 0 ? options.warmupSteps : Math.ceil(totalSteps * options.warmupRatio);
  return { microBatchesPerEpoch, stepsPerEpoch, totalSteps, warmupSteps };
}
