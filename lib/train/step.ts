import { DivergedError } from "../base/errors.js";
import type { AdamW } from "../optim/adamw.js";
import { clipFactor } from "../optim/clip.js";
import { type Metrics, merged } from "./metrics.js";
import type { Task } from "./task.js";

export interface StepReport {
  /** Mean over the whole step. */
  readonly loss: number;
  /** Before clipping. */
  readonly gradNorm: number;
  readonly metrics: Metrics;
}

/**
 * Optimiser step number `step`, counted from 1. Throws DivergedError before a weight changes when the loss or the
 * gradient is not a finite number.
 */
export async function trainStep<Row>(
  run: { readonly task: Task<Row>; readonly optimizer: AdamW; readonly maxGradNorm: number },
  step: number,
  learningRate: number,
  microBatches: readonly (readonly Row[])[],
): Promise<StepReport> {
  const { task, optimizer, maxGradNorm } = run;

  // One mean over the step, not a mean of means: otherwise the five labels of a row that is nearly all prompt would
  // pull as hard as the two thousand of a long answer.
  const count = microBatches.reduce((n, rows) => n + task.count(rows), 0);

  optimizer.zeroGradients();
  const parts = microBatches.map((rows) => task.forwardBackward(rows, 1 / Math.max(count, 1)));
  const [metrics, gradNorm] = await Promise.all([merged(parts), optimizer.gradNorm()]); // the step's one wait
  const loss = metrics.sum("loss") / Math.max(count, 1);
  if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) throw new DivergedError(step, { loss, gradNorm });

  optimizer.step(step, learningRate, clipFactor(gradNorm, maxGradNorm));
  return { loss, gradNorm, metrics };
}
