import { expect, test } from "vitest";

import { DivergedError } from "../../lib/base/errors.js";
import type { AdamW } from "../../lib/optim/adamw.js";
import { Metrics } from "../../lib/train/metrics.js";
import { trainStep } from "../../lib/train/step.js";

/** A task whose rows are their own losses, and an optimiser that writes down what it is told. */
function fakeRun(gradNorm = 1, maxGradNorm = 0) {
  const calls: string[] = [];
  const metricsOf = (rows: readonly number[]) => {
    const metrics = new Metrics();
    metrics.add(
      "loss",
      rows.reduce((a, b) => a + b, 0),
      rows.length,
    );
    return metrics;
  };
  const task = {
    count: (rows: readonly number[]) => rows.length,
    countTokens: () => 0,
    forwardBackward: async (rows: readonly number[], scale: number) => {
      calls.push(`rows ${rows} at ${scale}`);
      return metricsOf(rows);
    },
    forward: async (rows: readonly number[]) => metricsOf(rows),
  };
  const optimizer = {
    zeroGradients: () => void calls.push("zero"),
    gradNorm: async () => gradNorm,
    step: (...args: number[]) => void calls.push(`step ${args}`),
  } as unknown as AdamW;
  return { calls, task, optimizer, maxGradNorm };
}

test("micro-batches share one mean", async () => {
  const run = fakeRun();
  const report = await trainStep(run, 3, 0.5, [[6, 2, 1], [1]]);
  expect(report.loss).toBe(2.5);
  expect(run.calls).toEqual(["zero", "rows 6,2,1 at 0.25", "rows 1 at 0.25", "step 3,0.5,1"]);
});

test("the clip factor goes into the update", async () => {
  const run = fakeRun(2, 1);
  await trainStep(run, 1, 0.5, [[1]]);
  expect(run.calls.at(-1)).toBe(`step 1,0.5,${1 / (2 + 1e-6)}`);
});

test.each([
  [[Number.NaN], 1],
  [[1], Number.POSITIVE_INFINITY],
])("loss %s with norm %s stops before a weight changes", async (rows, norm) => {
  const run = fakeRun(norm);
  await expect(trainStep(run, 7, 0.5, [rows])).rejects.toThrow(DivergedError);
  await expect(trainStep(run, 7, 0.5, [rows])).rejects.toThrow(/^step 7: /);
  expect(run.calls.filter((call) => call.startsWith("step"))).toEqual([]);
});
