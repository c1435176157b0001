import type { Arrays, Axes } from "../kernels/conformance.js";

type HeadAxes = Axes<"T" | "C" | "V" | "N" | "L" | "S">;

/** z[n,v] = hidden[rows[n]] . weight[v] */
function logits({ hidden, weight, rows }: Arrays<"hidden" | "weight" | "rows">, { C, V }: HeadAxes): Float64Array[] {
  return Array.from(rows, (row) =>
    Float64Array.from({ length: V }, (_, v) => {
      let sum = 0;
      for (let c = 0; c < C; c++) sum += hidden[row * C + c]! * weight[v * C + c]!;
      return sum;
    }),
  );
}

export function tokenLogProbsForward(
  inputs: Arrays<"hidden" | "weight" | "rows" | "labels">,
  axes: HeadAxes,
): Arrays<"log_probs" | "lse" | "entropy" | "correct" | "mean_logit" | "logits"> {
  const { V, N, L } = axes;
  const kept = new Float64Array(L * V);
  const [log_probs, lse] = [new Float64Array(N), new Float64Array(N)];
  const [entropy, correct, mean_logit] = [new Float64Array(N), new Float64Array(N), new Float64Array(N)];
  for (const [n, z] of logits(inputs, axes).entries()) {
    const label = inputs.labels[n]!;
    if (L > 0) kept.set(z, n * V);
    const top = z.reduce((a, b) => Math.max(a, b));
    lse[n] = top + Math.log(z.reduce((sum, value) => sum + Math.exp(value - top), 0));
    log_probs[n] = z[label]! - lse[n]!;
    entropy[n] = z.reduce((sum, value) => sum - Math.exp(value - lse[n]!) * (value - lse[n]!), 0);
    correct[n] = z.indexOf(top) === label ? 1 : 0;
    mean_logit[n] = z.reduce((sum, value) => sum + value, 0) / z.length;
  }
  return { log_probs, lse, entropy, correct, mean_logit, logits: kept };
}

export function tokenLogProbsBackward(
  inputs: Arrays<"hidden" | "weight" | "rows" | "labels" | "lse" | "dlog_probs" | "logits">,
  axes: HeadAxes,
): Arrays<"dhidden" | "dweight"> {
  const { hidden, weight, rows, labels, lse, dlog_probs } = inputs;
  const { T, C, V, L, S } = axes;
  const dhidden = new Float64Array(T * C);
  const dweight = new Float64Array(V * C);
  const kept = Array.from({ length: L }, (_, n) => inputs.logits.subarray(n * S, n * S + V));
  for (const [n, z] of (L > 0 ? kept : logits(inputs, axes)).entries()) {
    const row = rows[n]! * C;
    for (let v = 0; v < V; v++) {
      const dz = dlog_probs[n]! * ((v === labels[n] ? 1 : 0) - Math.exp(z[v]! - lse[n]!));
      for (let c = 0; c < C; c++) {
        dhidden[row + c]! += dz * weight[v * C + c]!;
        dweight[v * C + c]! += dz * hidden[row + c]!;
      }
    }
  }
  return { dhidden, dweight };
}
