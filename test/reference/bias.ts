import type { Arrays, Axes } from "../kernels/conformance.js";

export function biasForward({ x, bias }: Arrays<"x" | "bias">, { F }: Axes<"R" | "F">): Arrays<"x"> {
  return { x: x.map((value, i) => value + bias[i % F]!) };
}

export function biasBackward({ dy }: Arrays<"dy">, { F }: Axes<"R" | "F">): Arrays<"dbias"> {
  const dbias = new Float64Array(F);
  dy.forEach((value, i) => {
    dbias[i % F]! += value;
  });
  return { dbias };
}
