import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

import { clipFactor } from "../../lib/optim/clip.js";
import { learningRateAt, type SchedulerKind } from "../../lib/optim/schedule.js";

interface Golden {
  readonly kind: SchedulerKind;
  readonly warmup: number;
  readonly total: number;
  readonly kwargs: { readonly num_cycles?: number; readonly min_lr_rate?: number; readonly timescale?: number };
  readonly factors: readonly number[];
}
const { rows } = JSON.parse(readFileSync("test/golden/schedules.json", "utf8")) as { rows: Golden[] };

test.each(rows)(
  "$kind with $warmup of $total steps of warmup is transformers'",
  ({ kind, warmup, total, kwargs, factors }) => {
    const options = {
      kind,
      learningRate: 3,
      warmupSteps: warmup,
      totalSteps: total,
      ...(kwargs.num_cycles !== undefined && { numCycles: kwargs.num_cycles }),
      ...(kwargs.min_lr_rate !== undefined && { minLrRate: kwargs.min_lr_rate }),
      ...(kwargs.timescale !== undefined && { timescale: kwargs.timescale }),
    };
    factors.forEach((factor, step) => {
      expect(learningRateAt(step, options)).toBeCloseTo(3 * factor, 12);
    });
  },
);

test("gradients are clipped as torch clips them", () => {
  expect(clipFactor(0.5, 1)).toBe(1);
  expect(clipFactor(4, 1)).toBe(1 / (4 + 1e-6));
  expect(clipFactor(4, 0)).toBe(1);
});
