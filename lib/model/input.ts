import type { AttentionMask } from "../kernels/flash_attention.js";
import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";

/** Packed tokens and what attention has to know of each: see native/kernels/flash_attention.h. */
export interface ModelInput {
  readonly tokens: Tensor<"T">;
  readonly mask: AttentionMask;
}

/** The host's side of a ModelInput; a PackedBatch is one. */
export interface PackedTokens {
  readonly tokens: Int32Array;
  readonly positions: Int32Array;
  readonly sequenceStart: Int32Array;
  readonly visibleUntil: Int32Array;
}

export function uploadInput(arena: Arena, packed: PackedTokens): ModelInput {
  return {
    tokens: arena.from<"T">(packed.tokens),
    mask: {
      positions: arena.from<"T">(packed.positions),
      sequenceStart: arena.from<"T">(packed.sequenceStart),
      visibleUntil: arena.from<"T">(packed.visibleUntil),
    },
  };
}
