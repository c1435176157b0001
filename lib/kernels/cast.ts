import { flat, type Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** Writes `x` to `y` in the dtype of `y` and returns `y`. See native/kernels/cast.h. */
export function cast<A extends string>(y: Tensor<A>, x: Tensor<A>): Tensor<A> {
  call("cast", { x: flat(x), y: flat(y) });
  return y;
}
