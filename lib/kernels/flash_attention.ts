import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { call } from "./call.js";

// T = packed tokens, H = query heads, K = key/value heads, M = H + 2 K, D = head size

/** What attention has to know of each packed token: see is_visible in native/kernels/flash_attention.h. */
export interface AttentionMask {
  readonly positions: Tensor<"T">;
  readonly sequenceStart: Tensor<"T">;
  readonly visibleUntil: Tensor<"T">;
}

export interface AttentionOptions {
  readonly numHeads: number;
  readonly scale: number;
  /** Positions a token may look back, itself included; 0 is all. */
  readonly window: number;
}

/** What the backward pass reads. */
export interface FlashAttentionSaved {
  readonly qkv: Tensor<"T,M,D">;
  readonly y: Tensor<"T,H,D">;
  readonly lse: Tensor<"H,T">;
  readonly mask: AttentionMask;
  readonly options: AttentionOptions;
}

/** Softmax attention over what each token may see, in tiles. See native/kernels/flash_attention.h. */
export function flashAttention(
  arena: Arena,
  qkv: Tensor<"T,M,D">,
  mask: AttentionMask,
  options: AttentionOptions,
): { y: Tensor<"T,H,D">; saved: FlashAttentionSaved } {
  const [T, , D] = qkv.shape;
  const y = arena.empty<"T,H,D">([T!, options.numHeads, D!], qkv.dtype);
  const lse = arena.empty<"H,T">([options.numHeads, T!], "f32");
  call("flash_attention_forward", { qkv, ...maskArgs(mask), y, lse, scale: options.scale, window: options.window });
  return { y, saved: { qkv, y, lse, mask, options } };
}

export function flashAttentionBackward(arena: Arena, dy: Tensor<"T,H,D">, saved: FlashAttentionSaved): Tensor<"T,M,D"> {
  const { qkv, y, lse, mask, options } = saved;
  const dqkv = arena.empty<"T,M,D">(qkv.shape, qkv.dtype);
  const { scale, window } = options;
  call("flash_attention_backward", { dy, qkv, y, lse, ...maskArgs(mask), dqkv, scale, window });
  return dqkv;
}

function maskArgs({ positions, sequenceStart, visibleUntil }: AttentionMask) {
  return { positions, sequence_start: sequenceStart, visible_until: visibleUntil };
}
