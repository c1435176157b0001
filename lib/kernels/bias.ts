import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** `y = x + bias` row by row. See native/kernels/bias.h. */
export function addBias<R extends string, F extends string>(
  arena: Arena,
  x: Tensor<`${R},${F}`>,
  bias: Tensor<F>,
): Tensor<`${R},${F}`> {
  const y = arena.empty<`${R},${F}`>(x.shape, x.dtype);
  call("bias_forward", { x, bias, y });
  return y;
}

/** Adds to `dbias`; the gradient of `x` is `dy` itself. */
export function addBiasBackward<R extends string, F extends string>(dy: Tensor<`${R},${F}`>, dbias: Tensor<F>): void {
  call("bias_backward", { dy, dbias });
}
