import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

export interface RopeOptions {
  readonly positions: Tensor<"T">;
  readonly inverseFrequencies: Tensor<"E">;
  /** How many heads, from the first, are rotated; the others are copied. */
  readonly rotated: number;
  /** YaRN's factor on cosine and sine, 1 otherwise. */
  readonly scaling: number;
}

/** Rotates heads to their positions. See native/kernels/rope.h. */
export function rope(arena: Arena, x: Tensor<"T,M,D">, options: RopeOptions): Tensor<"T,M,D"> {
  const { inverseFrequencies, ...rest } = options;
  const y = arena.empty<"T,M,D">(x.shape, x.dtype);
  call("rope_forward", { x, y, ...rest, inverse_frequencies: inverseFrequencies });
  return y;
}

export function ropeBackward(arena: Arena, dy: Tensor<"T,M,D">, options: RopeOptions): Tensor<"T,M,D"> {
  const { inverseFrequencies, ...rest } = options;
  const dx = arena.empty<"T,M,D">(dy.shape, dy.dtype);
  call("rope_backward", { dy, dx, ...rest, inverse_frequencies: inverseFrequencies });
  return dx;
}
