import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** `y = x weight^T`. See native/kernels/linear.h. */
export function linear<R extends string, C extends string, F extends string>(
  arena: Arena,
  x: Tensor<`${R},${C}`>,
  weight: Tensor<`${F},${C}`>,
): Tensor<`${R},${F}`> {
  const y = arena.empty<`${R},${F}`>([x.shape[0]!, weight.shape[0]!], x.dtype);
  call("linear_forward", { x, weight, y });
  return y;
}

/** `dx = dy weight` */
export function linearBackwardInput<R extends string, C extends string, F extends string>(
  arena: Arena,
  dy: Tensor<`${R},${F}`>,
  weight: Tensor<`${F},${C}`>,
): Tensor<`${R},${C}`> {
  const dx = arena.empty<`${R},${C}`>([dy.shape[0]!, weight.shape[1]!], dy.dtype);
  call("linear_backward_input", { dy, weight, dx });
  return dx;
}

/** Adds `dy^T x` to `dweight`. */
export function linearBackwardWeight<R extends string, C extends string, F extends string>(
  dy: Tensor<`${R},${F}`>,
  x: Tensor<`${R},${C}`>,
  dweight: Tensor<`${F},${C}`>,
): void {
  call("linear_backward_weight", { dy, x, dweight });
}
