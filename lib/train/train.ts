import { AbortedError } from "../base/errors.js";
import type { Progress } from "../checkpoint/training_state.js";
import { epochOrder } from "../data/order.js";
import type { Rows } from "../data/rows.js";
import type { AdamW } from "../optim/adamw.js";
import { learningRateAt, type ScheduleOptions } from "../optim/schedule.js";
import { evaluate } from "./evaluate.js";
import type { Metrics } from "./metrics.js";
import type { Plan } from "./plan.js";
import { trainStep } from "./step.js";
import type { Task } from "./task.js";

export interface TrainOptions<Row> {
  readonly task: Task<Row>;
  readonly optimizer: AdamW;
  readonly rows: Rows<Row>;
  readonly plan: Plan;
  readonly batchSize: number;
  readonly accumulation: number;
  readonly schedule: ScheduleOptions;
  readonly maxGradNorm: number;
  readonly order: "shuffled" | "sequential";
  readonly seed: number;
  readonly evaluation?: {
    readonly rows: Rows<Row>;
    readonly batchSize: number;
    /** After every so many steps; 0 is at the end of each epoch. */
    readonly every: number;
  };
  readonly checkpoints?: {
    /** After every so many steps; 0 is at the end of each epoch, Infinity only when the run is stopped. */
    readonly every: number;
    /** Writes a checkpoint after a step and returns its path. */
    save(progress: Progress, step: StepRecord): Promise<string>;
  };
  /** Where to go on from; the weights and the optimiser are those of that moment. */
  readonly from?: Progress;
  /** Stops after the current step, with a checkpoint if there are checkpoints; an evaluation is broken off. */
  readonly signal?: AbortSignal;
}

/** One optimiser step, and what was done after it. */
export interface StepRecord {
  /** Counted from 1. */
  readonly step: number;
  /** Passes over the data so far. */
  readonly epoch: number;
  readonly loss: number;
  readonly gradNorm: number;
  readonly learningRate: number;
  readonly metrics: Metrics;
  /** Tokens of this step's rows, and of all so far; a DPO prompt counts for both answers, as in TRL. */
  readonly tokens: number;
  readonly numTokens: number;
  readonly numRows: number;
  /** Wall time of the step, without evaluation and saving. */
  readonly seconds: number;
  readonly evaluation?: { readonly metrics: Metrics; readonly seconds: number };
  readonly checkpoint?: string;
}

/**
 * Trains, one record a step. Abandoning the iteration stops the run after that step. Throws DivergedError before a
 * weight changes, and AbortedError when the signal says so.
 */
export async function* train<Row>(options: TrainOptions<Row>): AsyncGenerator<StepRecord, void, void> {
  const { plan, rows, task, evaluation, checkpoints } = options;
  let progress = options.from ?? { step: 0, epoch: 0, microBatch: 0, numTokens: 0 };
  while (progress.step < plan.totalSteps) {
    const order = epochOrder(rows.length, options.order === "sequential" ? undefined : options.seed, progress.epoch);
    const last = Math.min(progress.microBatch + options.accumulation, plan.microBatchesPerEpoch);
    const microBatches: Row[][] = [];
    for (let i = progress.microBatch; i < last; i++) {
      const ids = order.subarray(i * options.batchSize, (i + 1) * options.batchSize);
      microBatches.push(Array.from(ids, (id) => rows.at(id)!));
    }

    const learningRate = learningRateAt(progress.step, options.schedule);
    const started = performance.now();
    const report = await trainStep(options, progress.step + 1, learningRate, microBatches);
    const seconds = (performance.now() - started) / 1000;

    const endsEpoch = last === plan.microBatchesPerEpoch;
    const seen = microBatches.flat();
    const tokens = task.countTokens(seen);
    const numTokens = progress.numTokens + tokens;
    const step = progress.step + 1;
    const epoch = progress.epoch + last / plan.microBatchesPerEpoch;
    progress = endsEpoch
      ? { step, epoch: progress.epoch + 1, microBatch: 0, numTokens }
      : { step, epoch: progress.epoch, microBatch: last, numTokens };

    const isLast = step === plan.totalSteps;
    const isDue = (every: number) => (every === 0 ? endsEpoch : step % every === 0);
    const isMeasured = evaluation && (isLast || isDue(evaluation.every));
    const measured = isMeasured ? await measure(task, evaluation, options.signal) : undefined;
    const isStopped = options.signal?.aborted === true;
    const record: StepRecord = {
      ...report,
      step,
      epoch,
      learningRate,
      tokens,
      numTokens,
      numRows: seen.length,
      seconds,
      ...(measured && { evaluation: measured }),
    };
    const isKept = checkpoints && (isStopped || isDue(checkpoints.every));
    const checkpoint = isKept ? await checkpoints.save(progress, record) : undefined;
    yield checkpoint === undefined ? record : { ...record, checkpoint };
    if (isStopped && !isLast) {
      const kept = checkpoint === undefined ? "nothing was saved" : `saved in ${checkpoint}`;
      throw new AbortedError(step, `stopped after step ${step} of ${plan.totalSteps}; ${kept}`);
    }
  }
}

async function measure<Row>(
  task: Task<Row>,
  { rows, batchSize }: { rows: Rows<Row>; batchSize: number },
  signal?: AbortSignal,
) {
  const started = performance.now();
  const metrics = await evaluate(task, rows, batchSize, signal);
  return metrics && { metrics, seconds: (performance.now() - started) / 1000 };
}
