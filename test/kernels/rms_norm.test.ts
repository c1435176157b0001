import { rmsNormBackward, rmsNormForward } from "../reference/rms_norm.js";
import { conformance } from "./conformance.js";
import { gradcheck } from "./gradcheck.js";

// One number, odd rows, one past a vector and past a stripe of columns, a Mistral row, more rows than a task takes.
const axes = [
  { R: 1, C: 1 },
  { R: 7, C: 65 },
  { R: 3, C: 4096 },
  { R: 40, C: 288 },
];

// eps is of the size of mean(x^2): a kernel that forgets it is far off.
conformance("rms_norm_forward", { reference: rmsNormForward, axes, scalars: { eps: 0.1 } });
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
