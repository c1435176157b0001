import type { Arrays, Axes } from "../kernels/conformance.js";

export const add = ({ a, b }: Arrays<"a" | "b">, _axes: Axes<"R" | "C">): Arrays<"y"> => ({
  y: a.map((value, i) => value + b[i]!),
});
