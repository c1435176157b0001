import type { Arrays, Axes } from "../kernels/conformance.js";

export function embeddingForward(
  { tokens, weight }: Arrays<"tokens" | "weight">,
  { T, C }: Axes<"T" | "V" | "C">,
): Arrays<"y"> {
  const y = new Float64Array(T * C);
  for (let t = 0; t < T; t++) y.set(weight.subarray(tokens[t]! * C, (tokens[t]! + 1) * C), t * C);
  return { y };
}

export function embeddingBackward(
  { tokens, dy }: Arrays<"tokens" | "dy">,
  { T, V, C }: Axes<"T" | "V" | "C">,
): Arrays<"dweight"> {
  const dweight = new Float64Array(V * C);
  for (let t = 0; t < T; t++) {
    for (let c = 0; c < C; c++) dweight[tokens[t]! * C + c]! += dy[t * C + c]!;
  }
  return { dweight };
}
