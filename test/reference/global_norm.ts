import type { Arrays, Axes } from "../kernels/conformance.js";

export const globalNorm = ({ x }: Arrays<"x">, _axes: Axes<"N">): Arrays<"norm"> => ({
  norm: Float64Array.of(Math.sqrt(x.reduce((sum, value) => sum + value ** 2, 0))),
});
