import type { Arrays, Axes } from "../kernels/conformance.js";

type LinearAxes = Axes<"R" | "C" | "F">;

export function linearForward({ x, weight }: Arrays<"x" | "weight">, { R, C, F }: LinearAxes): Arrays<"y"> {
  const y = new Float64Array(R * F);
  for (let r = 0; r < R; r++) {
    for (let f = 0; f < F; f++) {
      let sum = 0;
      for (let c = 0; c < C; c++) sum += x[r * C + c]! * weight[f * C + c]!;
      y[r * F + f] = sum;
    }
  }
  return { y };
}

export function linearBackwardInput({ dy, weight }: Arrays<"dy" | "weight">, { R, C, F }: LinearAxes): Arrays<"dx"> {
  const dx = new Float64Array(R * C);
  for (let r = 0; r < R; r++) {
    for (let f = 0; f < F; f++) {
      for (let c = 0; c < C; c++) dx[r * C + c]! += dy[r * F + f]! * weight[f * C + c]!;
    }
  }
  return { dx };
}

export function linearBackwardWeight({ dy, x }: Arrays<"dy" | "x">, { R, C, F }: LinearAxes): Arrays<"dweight"> {
  const dweight = new Float64Array(F * C);
  for (let r = 0; r < R; r++) {
    for (let f = 0; f < F; f++) {
      for (let c = 0; c < C; c++) dweight[f * C + c]! += dy[r * F + f]! * x[r * C + c]!;
    }
  }
  return { dweight };
}
