import type { Arrays, Axes } from "../kernels/conformance.js";

export function rmsNormForward(
  { x, weight }: Arrays<"x" | "weight">,
  { R, C }: Axes<"R" | "C">,
  { eps }: { eps: number },
): Arrays<"y" | "rstd"> {
  const y = new Float64Array(R * C);
  const rstd = new Float64Array(R);
  for (let r = 0; r < R; r++) {
    let squares = 0;
    for (let c = 0; c < C; c++) squares += x[r * C + c]! ** 2;
    rstd[r] = 1 / Math.sqrt(squares / C + eps);
    for (let c = 0; c < C; c++) y[r * C + c] = x[r * C + c]! * rstd[r]! * weight[c]!;
  }
  return { y, rstd };
}

export function residualRmsNormForward(
  { x, update, weight }: Arrays<"x" | "update" | "weight">,
  axes: Axes<"R" | "C">,
  options: { eps: number },
): Arrays<"sum" | "y" | "rstd"> {
  const sum = x.map((value, i) => value + update[i]!);
  return { sum, ...rmsNormForward({ x: sum, weight }, axes, options) };
}

export function rmsNormBackward(
  { dy, x, weight, rstd, dresidual }: Arrays<"dy" | "x" | "weight" | "rstd" | "dresidual">,
  { R, C }: Axes<"R" | "C">,
): Arrays<"dx" | "dweight"> {
  const dx = new Float64Array(R * C);
  const dweight = new Float64Array(C);
  for (let r = 0; r < R; r++) {
    const g = (c: number) => dy[r * C + c]! * weight[c]!;
    const n = (c: number) => x[r * C + c]! * rstd[r]!;
    let mean = 0;
    for (let c = 0; c < C; c++) mean += (g(c) * n(c)) / C;
    for (let c = 0; c < C; c++) {
      dx[r * C + c] = dresidual[r * C + c]! + rstd[r]! * (g(c) - n(c) * mean);
      dweight[c]! += dy[r * C + c]! * n(c);
    }
  }
  return { dx, dweight };
}
