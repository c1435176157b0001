import { adamw, type ByteMoments, type FloatMoments, MOMENT_BLOCK } from "../kernels/adamw.js";
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
  /** What both moments are kept as; default f32. u8 is 8 bits in blocks with a scale. */
  readonly moments?: MomentsDtype;
}

export type MomentsDtype = "f32" | "bf16" | "u8";

/** AdamW over all parameters of a model in one launch. See native/kernels/adamw.h. */
export class AdamW implements Disposable {
  readonly moments: FloatMoments | ByteMoments;
  private readonly norm: Tensor<"1">;
  private readonly arena: Arena;

  constructor(
    readonly parameters: Parameters,
    private readonly options: AdamWOptions,
  ) {
    const { shape, size } = parameters.weights;
    const dtype = options.moments ?? "f32";
    const B = Math.ceil(size / MOMENT_BLOCK);
    const bytes = { f32: 4 * size, bf16: 2 * size, u8: size + 4 * B }[dtype];
    this.arena = new Arena(parameters.device, { kept: 2 * bytes + 512 });
    const moment = () => this.arena.empty<"N">(shape, dtype);
    const scales = () => fill(this.arena.empty<"B">([B], "f32"), 0);
    this.moments =
      dtype === "u8"
        ? { m: moment(), mScale: scales(), v: moment(), vScale: scales() }
        : { m: fill(moment(), 0), v: fill(moment(), 0) };
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
    adamw(this.parameters.gradients, this.moments, {
      weight: this.parameters.weights,
      low: this.parameters.low,
      lr: learningRate,
      beta1,
      beta2,
      eps,
      weightDecay,
      correction1: 1 - beta1 ** step,
      correction2: 1 - beta2 ** step,
      gradScale,
      decayed: this.parameters.numDecayed,
      step,
    });
  }

  [Symbol.dispose](): void {
    this.arena[Symbol.dispose]();
  }
}
