import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** `y = a + b`. See native/kernels/add.h. Its gradient is `dy` for both. */
export function add<A extends string>(arena: Arena, a: Tensor<A>, b: Tensor<A>): Tensor<A> {
  const y = arena.empty<A>(a.shape, a.dtype);
  call("add", { a, b, y });
  return y;
}
