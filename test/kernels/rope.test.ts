import { ropeBackward, ropeForward } from "../reference/rope.js";
import { conformance } from "./conformance.js";
import { gradcheck } from "./gradcheck.js";

// Heads of one pair, narrower than a vector, of no vector's width, and of several vectors; more rows than a task takes.
const axes = [
  { T: 1, M: 1, D: 2, E: 1 },
  { T: 5, M: 6, D: 8, E: 4 },
  { T: 40, M: 5, D: 16, E: 8 },
  { T: 7, M: 3, D: 20, E: 10 },
  { T: 33, M: 4, D: 48, E: 24 },
  { T: 3, M: 7, D: 128, E: 64 },
];
// The last positions of a context of 32768, and a few in no order.
const inputs = {
  positions: ({ T }: { T: number }) => Array.from({ length: T }, (_, t) => (t % 2 ? 32767 - t : 3 * t)),
  inverse_frequencies: ({ E }: { E: number }) => Array.from({ length: E }, (_, e) => 10000 ** (-e / E)),
};
const scalars = ({ M }: { M: number }) => ({ rotated: M - Math.floor(M / 3), scaling: 1.2 });

conformance("rope_forward", { reference: ropeForward, axes, inputs, scalars });
conformance("rope_backward", { reference: ropeBackward, axes, inputs, scalars });

gradcheck("rope", {
  axes: { T: 3, M: 3, D: 4, E: 2 },
  inputs: { x: "T,M,D" },
  forward: ({ x }, axes) => ropeForward({ x, ...angles }, axes, { rotated: 2, scaling: 1.2 }).x,
  backward: (dy, _, axes) => ({ x: ropeBackward({ dx: dy, ...angles }, axes, { rotated: 2, scaling: 1.2 }).dx }),
});
const angles = { positions: Float64Array.of(0, 5, 2), inverse_frequencies: Float64Array.of(1, 0.3) };
