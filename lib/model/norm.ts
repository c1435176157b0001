import { type RmsNormSaved, residualRmsNorm, rmsNorm, rmsNormBackward } from "../kernels/rms_norm.js";
import type { Arena } from "../tensor/arena.js";
import type { Param, Tensor } from "../tensor/tensor.js";

// T = packed tokens, C = hidden size

/** The residual stream between two norms, `x + update`: the norm that reads it takes the sum. */
export interface Residual {
  readonly x: Tensor<"T,C">;
  readonly update?: Tensor<"T,C">;
}

/** What the backward pass reads; `x` is the whole residual stream. */
export type NormSaved = RmsNormSaved<"T", "C">;

/** RMSNorm with its weight. Its input also feeds the residual connection. */
export class Norm {
  constructor(
    private readonly weight: Param<"C">,
    private readonly eps: number,
  ) {}

  /** What is saved lies in `arena`, `y` in `output`. */
  forward(arena: Arena, { x, update }: Residual, output = arena): { y: Tensor<"T,C">; saved: NormSaved } {
    const { value } = this.weight;
    return update
      ? residualRmsNorm(arena, x, update, value, this.eps, output)
      : rmsNorm(arena, x, value, this.eps, output);
  }

  /** Returns the gradient of `x`, that of the residual connection included; adds to the gradient of the weight. */
  backward(arena: Arena, dy: Tensor<"T,C">, dresidual: Tensor<"T,C">, saved: NormSaved): Tensor<"T,C"> {
    return rmsNormBackward(arena, dy, dresidual, saved, this.weight.grad);
  }
}
