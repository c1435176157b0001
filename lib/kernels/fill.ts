import { flat, type Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** Sets every element and returns the tensor. See native/kernels/fill.h. */
export function fill<A extends string>(x: Tensor<A>, value: number): Tensor<A> {
  call("fill", { x: flat(x), value });
  return x;
}
