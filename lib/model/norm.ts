import { type RmsNormSaved, rmsNorm, rmsNormBackward } from "../kernels/rms_norm.js";
import type { Arena } from "../tensor/arena.js";
import type { Param, Tensor } from "../tensor/tensor.js";

export type { RmsNormSaved } from "../kernels/rms_norm.js";

/** RMSNorm with its weight. In a pre-norm block its input also feeds the residual connection. */
export class Norm {
  constructor(
    private readonly weight: Param<"C">,
    private readonly eps: number,
  ) {}

  forward(arena: Arena, x: Tensor<"T,C">): { y: Tensor<"T,C">; saved: RmsNormSaved<"T", "C"> } {
    return rmsNorm(arena, x, this.weight.value, this.eps);
  }

  /** Returns the gradient of `x`, that of the residual connection included; adds to the gradient of the weight. */
  backward(arena: Arena, dy: Tensor<"T,C">, dresidual: Tensor<"T,C">, saved: RmsNormSaved<"T", "C">): Tensor<"T,C"> {
    return rmsNormBackward(arena, dy, dresidual, saved, this.weight.grad);
  }
}
