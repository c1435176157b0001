import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** Sums of the values of each segment, f32[S]. See native/kernels/segment_sum.h. */
export function segmentSum(arena: Arena, values: Tensor<"N">, segments: Tensor<"N">, count: number): Tensor<"S"> {
  const sums = arena.empty<"S">([count], "f32");
  call("segment_sum_forward", { values, segments, sums });
  return sums;
}

export function segmentSumBackward(arena: Arena, dsums: Tensor<"S">, segments: Tensor<"N">): Tensor<"N"> {
  const dvalues = arena.empty<"N">(segments.shape, "f32");
  call("segment_sum_backward", { dsums, segments, dvalues });
  return dvalues;
}
