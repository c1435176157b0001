import { expect, test } from "vitest";

import { planSteps } from "../../lib/train/plan.js";

const base = { numRows: 10, batchSize: 4, accumulation: 1, epochs: 1, maxSteps: -1, warmupSteps: 0, warmupRatio: 0 };

test("the last batch of an epoch may be smaller, and so may its last step", () => {
  expect(planSteps(base)).toEqual({ microBatchesPerEpoch: 3, stepsPerEpoch: 3, totalSteps: 3, warmupSteps: 0 });
  expect(planSteps({ ...base, accumulation: 2 }).stepsPerEpoch).toBe(2);
});

test("epochs may be a fraction, and max_steps goes before them", () => {
  expect(planSteps({ ...base, epochs: 1.5 }).totalSteps).toBe(5);
  expect(planSteps({ ...base, epochs: 1.5, maxSteps: 20 }).totalSteps).toBe(20);
});

test("warmup in steps goes before warmup as a share, which is rounded up", () => {
  expect(planSteps({ ...base, epochs: 7, warmupRatio: 0.1 }).warmupSteps).toBe(3);
  expect(planSteps({ ...base, epochs: 7, warmupRatio: 0.1, warmupSteps: 5 }).warmupSteps).toBe(5);
});

test("a run without rows is refused", () => {
  expect(() => planSteps({ ...base, numRows: 0, maxSteps: 5 })).toThrow(/^rows: there are none/);
});
