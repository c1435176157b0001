import { addBias, addBiasBackward } from "../kernels/bias.js";
import { linear, linearBackwardInput, linearBackwardWeight } from "../kernels/linear.js";
import { swiglu, swigluBackward } from "../kernels/swiglu.js";
import type { Arena } from "../tensor/arena.js";
import type { Param, Tensor } from "../tensor/tensor.js";
import type { ModelConfig } from "./config.js";
import type { Parameters } from "./parameters.js";

// T = packed tokens, C = hidden size, F = intermediate size, G = 2 F

export interface MlpSaved {
  readonly gateUp: Tensor<"T,G">;
}

/** `y = (silu(x gate^T) * (x up^T)) down^T`, with gate and up from one product with the fused weights. */
export class Mlp {
  private readonly gateUp: Param<"G,C">;
  private readonly gateUpBias: Param<"G"> | undefined;
  private readonly down: Param<"C,F">;
  private readonly downBias: Param<"C"> | undefined;

  constructor(config: ModelConfig, parameters: Parameters, prefix: string) {
    const names = (kind: string) => ["gate_proj", "up_proj"].map((name) => `${prefix}.${name}.${kind}`);
    this.gateUp = parameters.fused(names("weight"));
    this.down = parameters.get(`${prefix}.down_proj.weight`);
    this.gateUpBias = config.mlpBias ? parameters.fused(names("bias")) : undefined;
    this.downBias = config.mlpBias ? parameters.get(`${prefix}.down_proj.bias`) : undefined;
  }

  /** What backward reads lies in `arena`, `y` in `passing`. */
  forward(arena: Arena, passing: Arena, x: Tensor<"T,C">): { y: Tensor<"T,C">; saved: MlpSaved } {
    const gateUp = linear(arena, x, this.gateUp.value);
    if (this.gateUpBias) addBias(gateUp, this.gateUpBias.value);
    const y = linear(passing, swiglu(passing, gateUp), this.down.value);
    if (this.downBias) addBias(y, this.downBias.value);
    return { y, saved: { gateUp } };
  }

  /** Returns `dx`; adds to the gradients of the weights. */
  backward(arena: Arena, dy: Tensor<"T,C">, x: Tensor<"T,C">, { gateUp }: MlpSaved): Tensor<"T,C"> {
    if (this.downBias) addBiasBackward(dy, this.downBias.grad);
    const dh = linearBackwardInput(arena, dy, this.down.value);

    const { dgateUp, y: h } = swigluBackward(arena, dh, gateUp); // keeping h would cost T F numbers a layer
    linearBackwardWeight(dy, h, this.down.grad);

    if (this.gateUpBias) addBiasBackward(dgateUp, this.gateUpBias.grad);
    linearBackwardWeight(dgateUp, x, this.gateUp.grad);
    return linearBackwardInput(arena, dgateUp, this.gateUp.value);
  }
}
