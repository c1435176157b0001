import { biasBackward, biasForward } from "../reference/bias.js";
import { conformance } from "./conformance.js";
import { gradcheck } from "./gradcheck.js";

// One number, odd rows one past a vector, one past a stripe of features, a Mistral row.
const axes = [
  { R: 1, F: 1 },
  { R: 7, F: 33 },
  { R: 50, F: 65 },
  { R: 3, F: 6144 },
];

conformance("bias_forward", { reference: biasForward, axes });
conformance("bias_backward", { reference: biasBackward, axes });

gradcheck("bias", {
  axes: { R: 3, F: 5 },
  inputs: { x: "R,F", bias: "F" },
  forward: (inputs, axes) => biasForward(inputs, axes).x,
  backward: (dy, _inputs, axes) => ({ x: dy, bias: biasBackward({ dy }, axes).dbias }),
});
