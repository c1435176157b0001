import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** What both kernels take. */
interface AdamwUpdate {
  readonly weight: Tensor<"N">;
  /** The low bits of an f32 master whose high ones are the bf16 weights; of no elements where there is none. */
  readonly low: Tensor<"L">;
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
  /** Counted from 1; what is rounded at random is rounded by it. */
  readonly step: number;
}

/** Moments as f32 or bf16. */
export interface FloatMoments {
  readonly m: Tensor<"N">;
  readonly v: Tensor<"N">;
}

/** Moments as u8, B = N / 256 blocks with an f32 scale each. Codes say nothing while their scale is 0. */
export interface ByteMoments {
  readonly m: Tensor<"N">;
  readonly mScale: Tensor<"B">;
  readonly v: Tensor<"N">;
  readonly vScale: Tensor<"B">;
}

/** Elements that share a scale in ByteMoments. */
export const MOMENT_BLOCK = 256;

/** One update of weights and moments in place. See native/kernels/adamw.h. */
export function adamw(grad: Tensor<"N">, moments: FloatMoments | ByteMoments, args: AdamwUpdate): void {
  const { weightDecay, gradScale, ...rest } = args;
  const update = { grad, ...rest, weight_decay: weightDecay, grad_scale: gradScale };
  if ("mScale" in moments) {
    const { m, mScale, v, vScale } = moments;
    call("adamw_8bit", { ...update, m, m_scale: mScale, v, v_scale: vScale });
  } else {
    call("adamw", { ...update, ...moments });
  }
}
