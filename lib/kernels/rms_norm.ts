import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** What the backward pass reads. */
export interface RmsNormSaved<R extends string, C extends string> {
  readonly x: Tensor<`${R},${C}`>;
  readonly weight: Tensor<C>;
  readonly rstd: Tensor<R>;
}

/** `y = x * rstd * weight`, `rstd = 1 / sqrt(mean(x^2) + eps)` row by row. See native/kernels/rms_norm.h. */
export function rmsNorm<R extends string, C extends string>(
  arena: Arena,
  x: Tensor<`${R},${C}`>,
  weight: Tensor<C>,
  eps: number,
): { y: Tensor<`${R},${C}`>; saved: RmsNormSaved<R, C> } {
  const y = arena.empty<`${R},${C}`>(x.shape, x.dtype);
  const rstd = arena.empty<R>(x.shape.slice(0, 1), "f32");
  call("rms_norm_forward", { x, weight, y, rstd, eps });
  return { y, saved: { x, weight, rstd } };
}

/** Returns `dx`, to which `dresidual` has been added; adds to `dweight`. */
export function rmsNormBackward<R extends string, C extends string>(
  arena: Arena,
  dy: Tensor<`${R},${C}`>,
  dresidual: Tensor<`${R},${C}`>,
  saved: RmsNormSaved<R, C>,
  dweight: Tensor<C>,
): Tensor<`${R},${C}`> {
  const dx = arena.empty<`${R},${C}`>(dy.shape, dy.dtype);
  call("rms_norm_backward", { dy, ...saved, dresidual, dx, dweight });
  return dx;
}
