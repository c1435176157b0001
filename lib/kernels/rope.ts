import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

export interface RopeOptions {
  readonly positions: Tensor<"T">;
  readonly inverseFrequencies: Tensor<"E">;
  /** How many heads, from the first, are rotated; the others stay as they are. */
  readonly rotated: number;
  /** YaRN's factor on cosine and sine, 1 otherwise. */
  readonly scaling: number;
}

/** Rotates heads to their positions, in place. See native/kernels/rope.h. */
export function rope(x: Tensor<"T,M,D">, { inverseFrequencies, ...rest }: RopeOptions): void {
  call("rope_forward", { x, ...rest, inverse_frequencies: inverseFrequencies });
}

/** The gradient of the rotated heads becomes that of the heads. */
export function ropeBackward(dx: Tensor<"T,M,D">, { inverseFrequencies, ...rest }: RopeOptions): void {
  call("rope_backward", { dx, ...rest, inverse_frequencies: inverseFrequencies });
}
