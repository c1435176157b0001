import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** Writes `x` to `y` in the dtype of `y` and returns `y`. See native/kernels/cast.h. */
export function cast<A extends string>(y: Tensor<A>, x: Tensor<A>): Tensor<A> {
  call("cast", { x: x.view([x.size]), y: y.view([y.size]) });
  return y;
}
