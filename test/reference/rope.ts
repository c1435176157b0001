import type { Arrays, Axes } from "../kernels/conformance.js";

type Options = { rotated: number; scaling: number };

/** direction 1 rotates, -1 rotates back. */
function rotate(
  x: Float64Array,
  { positions, inverse_frequencies }: Arrays<"positions" | "inverse_frequencies">,
  { T, M, E }: Axes<"T" | "M" | "E">,
  { rotated, scaling }: Options,
  direction: number,
): Float64Array {
  const y = x.slice();
  for (let t = 0; t < T; t++) {
    for (let m = 0; m < rotated; m++) {
      for (let d = 0; d < E; d++) {
        const angle = Math.fround(positions[t]! * inverse_frequencies[d]!); // angles are f32 by declaration
        const a = scaling * Math.cos(angle);
        const b = direction * scaling * Math.sin(angle);
        const low = (t * M + m) * 2 * E + d;
        y[low] = x[low]! * a - x[low + E]! * b;
        y[low + E] = x[low + E]! * a + x[low]! * b;
      }
    }
  }
  return y;
}

export const ropeForward = (
  inputs: Arrays<"x" | "positions" | "inverse_frequencies">,
  axes: Axes<"T" | "M" | "E">,
  options: Options,
): Arrays<"x"> => ({ x: rotate(inputs.x, inputs, axes, options, 1) });

export const ropeBackward = (
  inputs: Arrays<"dx" | "positions" | "inverse_frequencies">,
  axes: Axes<"T" | "M" | "E">,
  options: Options,
): Arrays<"dx"> => ({ dx: rotate(inputs.dx, inputs, axes, options, -1) });
