import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

/** Rows of `weight` named by `tokens`. See native/kernels/embedding.h. */
export function embedding<T extends string, V extends string, C extends string>(
  arena: Arena,
  tokens: Tensor<T>,
  weight: Tensor<`${V},${C}`>,
): Tensor<`${T},${C}`> {
  const y = arena.empty<`${T},${C}`>([tokens.shape[0]!, weight.shape[1]!], weight.dtype);
  call("embedding_forward", { tokens, weight, y });
  return y;
}

/** Adds to `dweight`. */
export function embeddingBackward<T extends string, V extends string, C extends string>(
  dy: Tensor<`${T},${C}`>,
  tokens: Tensor<T>,
  dweight: Tensor<`${V},${C}`>,
): void {
  call("embedding_backward", { tokens, dy, dweight });
}
