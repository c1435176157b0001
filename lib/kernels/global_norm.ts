import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** The Euclidean norm of `x` into `norm`, f32[1], which is returned. See native/kernels/global_norm.h. */
export function globalNorm(x: Tensor<"N">, norm: Tensor<"1">): Tensor<"1"> {
  call("global_norm", { x, norm });
  return norm;
}
