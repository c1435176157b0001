import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** `y = silu(gate) * up` with `gateUp = [gate | up]` row by row. See native/kernels/swiglu.h. */
export function swiglu(arena: Arena, gateUp: Tensor<"T,G">): Tensor<"T,F"> {
  const [T, G] = gateUp.shape;
  const y = arena.empty<"T,F">([T!, G! / 2], gateUp.dtype);
  call("swiglu_forward", { gate_up: gateUp, y });
  return y;
}

/** The gradient, and `y` once more. */
export function swigluBackward(arena: Arena, dy: Tensor<"T,F">, gateUp: Tensor<"T,G">) {
  const dgateUp = arena.empty<"T,G">(gateUp.shape, gateUp.dtype);
  const y = arena.empty<"T,F">(dy.shape, dy.dtype);
  call("swiglu_backward", { dy, gate_up: gateUp, dgate_up: dgateUp, y });
  return { dgateUp, y };
}
