import { describe, expect, test } from "vitest";

import { Random } from "../../lib/base/random.js";
import * as reference from "../reference/linear.js";
import { conformance } from "./conformance.js";
import { gradcheck } from "./gradcheck.js";
import { backends, launch } from "./launch.js";

// One number; one past a tile and one past a vector in every dimension; sums longer than a block, of an odd length;
// more features than rows and the other way round, so that either operand is shared between the tasks.
const axes = [
  { R: 1, C: 1, F: 1 },
  { R: 13, C: 33, F: 17 },
  { R: 5, C: 775, F: 33 },
  { R: 25, C: 66, F: 391 },
  { R: 389, C: 9, F: 49 },
  { R: 2, C: 3, F: 1539 },
  { R: 64, C: 64, F: 64 },
];

conformance("linear_forward", { reference: reference.linearForward, axes });
conformance("linear_backward_input", { reference: reference.linearBackwardInput, axes });
conformance("linear_backward_weight", { reference: reference.linearBackwardWeight, axes });

gradcheck("linear", {
  axes: { R: 3, C: 4, F: 2 },
  inputs: { x: "R,C", weight: "F,C" },
  forward: (inputs, axes) => reference.linearForward(inputs, axes).y,
  backward: (dy, { x, weight }, axes) => ({
    x: reference.linearBackwardInput({ dy, weight }, axes).dx,
    weight: reference.linearBackwardWeight({ dy, x }, axes).dweight,
  }),
});

const noise = (length: number, seed: number): Float64Array => {
  const random = new Random(seed);
  return Float64Array.from({ length }, () => Math.fround(random.normal()));
};

describe.each(backends)("$name", (backend) => {
  // bf16 results of sums in several blocks are kept as f32 in between, which must not depend on the batch either. On
  // CUDA the algorithm depends on the shape.
  test.skipIf(backend.name.startsWith("cuda")).each(["f32", "bf16"] as const)(
    "rows of linear_forward are the same by themselves and among others, t = %s",
    async (t) => {
      const [R, C, F] = [37, 1600, 70];
      const [x, weight] = [noise(R * C, 1), noise(F * C, 2)];
      const run = (rows: number, x: Float64Array) =>
        launch(backend, 2, "linear_forward", {
          axes: { R: rows, C, F },
          dtypes: { t },
          scalars: {},
          values: { x, weight },
        });
      const all = (await run(R, x)).y!.bits;
      for (const [r, rows] of [
        [0, 1],
        [36, 1],
        [12, 2],
        [3, 3],
        [20, 4],
        [20, 5],
      ] as const) {
        const few = (await run(rows, x.slice(r * C, (r + rows) * C))).y!.bits;
        expect(few).toEqual(all.slice(r * F, (r + rows) * F));
      }
    },
  );

  test("linear_forward keeps infinities and NaN in their own row and column", async () => {
    const [R, C, F] = [14, 5, 35];
    const [x, weight] = [new Float64Array(R * C).fill(1), new Float64Array(F * C).fill(1)];
    x[3 * C] = Number.NaN;
    weight[34 * C + 2] = Number.POSITIVE_INFINITY;
    const { y } = await launch(backend, 1, "linear_forward", {
      axes: { R, C, F },
      dtypes: { t: "f32" },
      scalars: {},
      values: { x, weight },
    });
    for (let r = 0; r < R; r++) {
      for (let f = 0; f < F; f++) {
        expect(y!.values[r * F + f], `y[${r},${f}]`).toBe(
          r === 3 ? Number.NaN : f === 34 ? Number.POSITIVE_INFINITY : C,
        );
      }
    }
  });
});
