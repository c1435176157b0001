import { expect, test } from "vitest";

import type { AdamW } from "../../lib/optim/adamw.js";
import { Metrics } from "../../lib/train/metrics.js";
import { planSteps } from "../../lib/train/plan.js";
import { type TrainOptions, train } from "../../lib/train/train.js";

const metrics = (): Metrics => Metrics.from([["loss", 1, 1]]);
const optimizer = { zeroGradients() {}, gradNorm: async () => 1, step() {} } as unknown as AdamW;

test("a signal raised while it evaluates breaks the evaluation off, and ends the run after that step", async () => {
  const controller = new AbortController();
  const calls: string[] = [];
  const task = {
    count: (rows: readonly number[]) => rows.length,
    countTokens: () => 1,
    forwardBackward: async () => metrics(),
    forward: async (rows: readonly number[]) => {
      calls.push(`evaluate ${rows}`);
      if (rows[0] === 8) controller.abort();
      return metrics();
    },
  };
  const sizes = { batchSize: 1, accumulation: 1 };
  const plan = planSteps({ ...sizes, numRows: 4, epochs: 1, maxSteps: 0, warmupSteps: 0, warmupRatio: 0 });
  const options: TrainOptions<number> = {
    ...{ ...sizes, task, optimizer, rows: [1, 2, 3, 4], plan, maxGradNorm: 1, order: "sequential", seed: 0 },
    schedule: { kind: "constant", learningRate: 1, warmupSteps: 0, totalSteps: plan.totalSteps },
    evaluation: { rows: [7, 8, 9], batchSize: 1, every: 2 },
    checkpoints: { every: 3, save: async ({ step }) => `checkpoint-${step}` },
    signal: controller.signal,
  };
  const follow = async () => {
    for await (const { step, evaluation } of train(options)) calls.push(`step ${step} ${evaluation !== undefined}`);
  };
  await expect(follow()).rejects.toThrow("stopped after step 2 of 4; saved in checkpoint-2");
  expect(calls).toEqual(["step 1 false", "evaluate 7", "evaluate 8", "step 2 false"]);
});
