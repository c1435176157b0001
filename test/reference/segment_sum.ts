import type { Arrays, Axes } from "../kernels/conformance.js";

export function segmentSumForward(
  { values, segments }: Arrays<"values" | "segments">,
  { S }: Axes<"N" | "S">,
): Arrays<"sums"> {
  const sums = new Float64Array(S);
  values.forEach((value, n) => {
    sums[segments[n]!]! += value;
  });
  return { sums };
}

export function segmentSumBackward(
  { dsums, segments }: Arrays<"dsums" | "segments">,
  _axes: Axes<"N" | "S">,
): Arrays<"dvalues"> {
  return { dvalues: segments.map((segment) => dsums[segment]!) };
}
