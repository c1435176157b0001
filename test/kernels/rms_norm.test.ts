import { describe, expect, test } from "vitest";

import { residualRmsNorm, rmsNorm } from "../../lib/kernels/rms_norm.js";
import { Arena } from "../../lib/tensor/arena.js";
import { residualRmsNormForward, rmsNormBackward, rmsNormForward } from "../reference/rms_norm.js";
import { conformance } from "./conformance.js";
import { gradcheck } from "./gradcheck.js";
import { backends } from "./launch.js";

// One number, odd rows, one past a vector and past a stripe of columns, a Mistral row, more rows than a task takes.
const axes = [
  { R: 1, C: 1 },
  { R: 7, C: 65 },
  { R: 3, C: 4096 },
  { R: 40, C: 288 },
];

// eps is of the size of mean(x^2): a kernel that forgets it is far off.
conformance("rms_norm_forward", { reference: rmsNormForward, axes, scalars: { eps: 0.1 } });
conformance("residual_rms_norm_forward", {
  reference: residualRmsNormForward,
  axes,
  scalars: { eps: 0.1 },
  roundsInside: true,
});
conformance("rms_norm_backward", { reference: rmsNormBackward, axes });

gradcheck("rms_norm", {
  axes: { R: 3, C: 8 },
  inputs: { x: "R,C", weight: "C" },
  forward: (inputs, axes) => rmsNormForward(inputs, axes, { eps: 0.1 }).y,
  backward: (dy, inputs, axes) => {
    const { rstd } = rmsNormForward(inputs, axes, { eps: 0.1 });
    const { dx, dweight } = rmsNormBackward({ ...inputs, dy, rstd, dresidual: new Float64Array(dy.length) }, axes);
    return { x: dx, weight: dweight };
  },
});

gradcheck("residual_rms_norm", {
  axes: { R: 3, C: 8 },
  inputs: { x: "R,C", update: "R,C", weight: "C" },
  forward: (inputs, axes) => residualRmsNormForward(inputs, axes, { eps: 0.1 }).y,
  backward: (dy, { weight, ...inputs }, axes) => {
    const { sum, rstd } = residualRmsNormForward({ weight, ...inputs }, axes, { eps: 0.1 });
    const dresidual = new Float64Array(dy.length);
    const { dx, dweight } = rmsNormBackward({ dy, x: sum, weight, rstd, dresidual }, axes);
    return { x: dx, update: dx, weight: dweight };
  },
});

// The backward pass may compute y again from the sum: it has to find the same.
describe.each(backends)("$name", ({ device }) => {
  test.each(["f32", "bf16"] as const)("a residual norm is that of its sum in %s, to the last bit", async (dtype) => {
    using arena = new Arena(device(1));
    const tensor = <A extends string>(shape: number[], turn: number) => {
      const made = arena.empty<A>(shape, dtype);
      made.upload(Float32Array.from({ length: made.size }, (_, i) => Math.sin(turn * i)));
      return made;
    };
    const [x, update, weight] = [tensor<"R,C">([9, 200], 1), tensor<"R,C">([9, 200], 2), tensor<"C">([200], 3)];
    const { y, saved } = residualRmsNorm(arena, x, update, weight, 0.1);
    const again = rmsNorm(arena, saved.x, weight, 0.1);
    expect(await again.y.read()).toEqual(await y.read());
    expect(await again.saved.rstd.read()).toEqual(await saved.rstd.read());
  });
});
