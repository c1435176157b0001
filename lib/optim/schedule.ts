/** The learning-rate schedules of transformers, by its names. */
export type SchedulerKind =
  | "linear"
  | "cosine"
  | "cosine_with_min_lr"
  | "constant"
  | "constant_with_warmup"
  | "inverse_sqrt";

export interface ScheduleOptions {
  readonly kind: SchedulerKind;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
  /** cosine_with_min_lr ends here rather than at 0, as a share of the learning rate. */
  readonly minLrRate?: number;
  /** Waves of the cosine; 0.5 is a fall from the top to the bottom. */
  readonly numCycles?: number;
  /** inverse_sqrt: the steps over which the rate falls to 1/sqrt(2); default the warmup, or 10,000 without one. */
  readonly timescale?: number;
}

/** The learning rate of optimiser step `step`, counted from 0. With warmup, step 0 has rate 0, as in transformers. */
export function learningRateAt(step: number, options: ScheduleOptions): number {
  return options.learningRate * factorAt(step, options);
}

function factorAt(step: number, options: ScheduleOptions): number {
  const { kind, warmupSteps, totalSteps } = options;
  if (kind === "constant") return 1;
  if (step < warmupSteps) return step / Math.max(1, warmupSteps);
  const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
  switch (kind) {
    case "constant_with_warmup":
      return 1;
    case "linear":
      return Math.max(0, 1 - progress);
    case "cosine":
      return Math.max(0, cosine(progress, options.numCycles));
    case "cosine_with_min_lr": {
      const floor = options.minLrRate ?? 0;
      return Math.max(0, cosine(progress, options.numCycles) * (1 - floor) + floor);
    }
    case "inverse_sqrt": {
      const timescale = options.timescale ?? (warmupSteps || 10_000);
      return 1 / Math.sqrt((step - warmupSteps + timescale) / timescale);
    }
  }
}

const cosine = (progress: number, numCycles = 0.5): number => 0.5 * (1 + Math.cos(Math.PI * 2 * numCycles * progress));
