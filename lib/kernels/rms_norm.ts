import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** What the backward pass reads. */
export interface RmsNormSaved<R extends string, C extends string> {
  readonly x: Tensor<`${R},${C}`>;
  readonly weight: Tensor<C>;
  readonly rstd: Tensor<R>;
}

/** `y = x * rstd * weight`, `rstd = 1 / sqrt(mean(x^2) + eps)` row by row. See native/kernels/rms_norm.h. `y` lies in `output`. */
export function rmsNorm<R extends string, C extends string>(
  arena: Arena,
  x: Tensor<`${R},${C}`>,
  weight: Tensor<C>,
  eps: number,
  output = arena,
): { y: Tensor<`${R},${C}`>; saved: RmsNormSaved<R, C> } {
  const y = output.empty<`${R},${C}`>(x.shape, x.dtype);
  const rstd = arena.empty<R>(x.shape.slice(0, 1), "f32");
  call("rms_norm_forward", { x, weight, y, rstd, eps });
  return { y, saved: { x, weight, rstd } };
}

/** `sum = x + update` and its norm in one pass. See native/kernels/rms_norm.h. `sum` lies in `arena`, `y` in `output`. */
export function residualRmsNorm<R extends string, C extends string>(
  arena: Arena,
  x: Tensor<`${R},${C}`>,
  update: Tensor<`${R},${C}`>,
  weight: Tensor<C>,
  eps: number,
  output = arena,
): { y: Tensor<`${R},${C}`>; saved: RmsNormSaved<R, C> } {
  const sum = arena.empty<`${R},${C}`>(x.shape, x.dtype);
  const y = output.empty<`${R},${C}`>(x.shape, x.dtype);
  const rstd = arena.empty<R>(x.shape.slice(0, 1), "f32");
  call("residual_rms_norm_forward", { x, update, weight, sum, y, rstd, eps });
  return { y, saved: { x: sum, weight, rstd } };
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
