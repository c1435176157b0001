import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** Adds the bias to every row of `x`, in place. See native/kernels/bias.h. */
export function addBias<R extends string, F extends string>(x: Tensor<`${R},${F}`>, bias: Tensor<F>): void {
  call("bias_forward", { x, bias });
}

/** Adds to `dbias`; the gradient of `x` is `dy` itself. */
export function addBiasBackward<R extends string, F extends string>(dy: Tensor<`${R},${F}`>, dbias: Tensor<F>): void {
  call("bias_backward", { dy, dbias });
}
