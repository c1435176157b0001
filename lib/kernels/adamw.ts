import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

export interface AdamwArgs {
  readonly weight: Tensor<"N">;
  /** The low bits of an f32 master whose high ones are the bf16 weights; of no elements for f32 weights. */
  readonly low: Tensor<"L">;
  readonly m: Tensor<"N">;
  readonly v: Tensor<"N">;
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** 1 - beta1^step and 1 - beta2^step */
  readonly correction1: number;
  readonly correction2: number;
  readonly gradScale: number;
  /** How many elements, from the first, weight decay applies to. */
  readonly decayed: number;
}

/** One update of weights and moments in place. See native/kernels/adamw.h. */
export function adamw(grad: Tensor<"N">, args: AdamwArgs): void {
  const { weightDecay, gradScale, ...rest } = args;
  call("adamw", { grad, ...rest, weight_decay: weightDecay, grad_scale: gradScale });
}
