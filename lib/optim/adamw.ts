import { adamw } from "../kernels/adamw.js";
import { fill } from "../kernels/fill.js";
import { globalNorm } from "../kernels/global_norm.js";
import type { Parameters } from "../model/parameters.js";
import { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Applies to matrices only: the arena holds norms and biases last, and the kernel stops decaying there. */
  readonly weightDecay: number;
}

/** AdamW over all parameters of a model in one launch. See native/kernels/adamw.h. */
export class AdamW implements Disposable {
  readonly m: Tensor<"N">;
  readonly v: Tensor<"N">;
  private readonly norm: Tensor<"1">;
  private readonly arena: Arena;

  constructor(
    readonly parameters: Parameters,
    private readonly options: AdamWOptions,
  ) {
    const { weights, device } = parameters;
    this.arena = new Arena(device, { kept: 8 * weights.size + 256 });
    const zeros = () => fill(this.arena.empty<"N">(weights.shape, "f32"), 0);
    this.m = zeros();
    this.v = zeros();
    this.norm = this.arena.empty<"1">([1], "f32");
  }

  /** Bytes of the optimiser's own state. */
  get bytes(): number {
    return this.arena.bytes;
  }

  zeroGradients(): void {
    fill(this.parameters.gradients, 0);
  }

  /** The Euclidean norm of all gradients. */
  async gradNorm(): Promise<number> {
    globalNorm(this.parameters.gradients, this.norm);
    return (await this.norm.readFloats())[0]!;
  }

  /** Enqueues update number `step`, counted from 1, with the gradients scaled by `gradScale`. */
  step(step: number, learningRate: number, gradScale: number): void {
    const { beta1, beta2, eps, weightDecay } = this.options;
    adamw(this.parameters.gradients, {
      weight: this.parameters.weights,
      low: this.parameters.low,
      m: this.m,
      v: this.v,
      lr: learningRate,
      beta1,
      beta2,
      eps,
      weightDecay,
      correction1: 1 - beta1 ** step,
      correction2: 1 - beta2 ** step,
      gradScale,
      decayed: this.parameters.numDecayed,
    });
  }

  [Symbol.dispose](): void {
    this.arena[Symbol.dispose]();
  }
}
