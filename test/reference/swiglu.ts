import type { Arrays, Axes } from "../kernels/conformance.js";

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));

export function swigluForward({ gate_up }: Arrays<"gate_up">, { R, F, G }: Axes<"R" | "F" | "G">): Arrays<"y"> {
  const y = new Float64Array(R * F);
  for (let r = 0; r < R; r++) {
    for (let f = 0; f < F; f++) {
      const gate = gate_up[r * G + f]!;
      y[r * F + f] = gate * sigmoid(gate) * gate_up[r * G + F + f]!;
    }
  }
  return { y };
}

export function swigluBackward(
  { dy, gate_up }: Arrays<"dy" | "gate_up">,
  axes: Axes<"R" | "F" | "G">,
): Arrays<"dgate_up" | "y"> {
  const { R, F, G } = axes;
  const dgate_up = new Float64Array(R * G);
  for (let r = 0; r < R; r++) {
    for (let f = 0; f < F; f++) {
      const [gate, up, d] = [gate_up[r * G + f]!, gate_up[r * G + F + f]!, dy[r * F + f]!];
      const s = sigmoid(gate);
      dgate_up[r * G + f] = d * up * s * (1 + gate * (1 - s));
      dgate_up[r * G + F + f] = d * gate * s;
    }
  }
  return { dgate_up, ...swigluForward({ gate_up }, axes) };
}
