import { addBias, addBiasBackward } from "../kernels/bias.js";
import {
  type AttentionMask,
  type FlashAttentionSaved,
  flashAttention,
  flashAttentionBackward,
} from "../kernels/flash_attention.js";
import { linear, linearBackwardInput, linearBackwardWeight } from "../kernels/linear.js";
import { rope, ropeBackward } from "../kernels/rope.js";
import type { Arena } from "../tensor/arena.js";
import type { Param, Tensor } from "../tensor/tensor.js";
import type { ModelConfig } from "./config.js";
import type { Parameters } from "./parameters.js";

// T = packed tokens, C = hidden size, H = query heads, K = key/value heads, M = H + 2 K, D = head size,
// Q = H D, E = D / 2

/** Inverse frequencies of the rotation and YaRN's factor on it; the same for every layer. */
export interface Rotation {
  readonly inverseFrequencies: Tensor<"E">;
  readonly scaling: number;
}

/** `y = softmax(rope(q) rope(k)^T / sqrt(D) + mask) v o^T`, with q, k and v from one product with the fused weights. */
export class Attention {
  private readonly qkv: Param<"MD,C">;
  private readonly qkvBias: Param<"MD"> | undefined;
  private readonly output: Param<"C,Q">;
  private readonly outputBias: Param<"C"> | undefined;

  constructor(
    private readonly config: ModelConfig,
    parameters: Parameters,
    prefix: string,
  ) {
    const names = (kind: string) => ["q_proj", "k_proj", "v_proj"].map((name) => `${prefix}.${name}.${kind}`);
    this.qkv = parameters.fused(names("weight"));
    this.output = parameters.get(`${prefix}.o_proj.weight`);
    this.qkvBias = config.attentionBias ? parameters.fused(names("bias")) : undefined;
    this.outputBias = config.attentionBias ? parameters.get(`${prefix}.o_proj.bias`) : undefined;
  }

  /** Queries, keys and values of `x`, rotated to their positions. */
  project(arena: Arena, x: Tensor<"T,C">, positions: Tensor<"T">, rotation: Rotation): Tensor<"T,M,D"> {
    const { numHeads, numKvHeads, headSize } = this.config;
    const qkv = linear(arena, x, this.qkv.value);
    if (this.qkvBias) addBias(qkv, this.qkvBias.value);
    const heads = qkv.view<"T,M,D">([x.shape[0]!, numHeads + 2 * numKvHeads, headSize]);
    rope(heads, { positions, ...rotation, rotated: numHeads + numKvHeads });
    return heads;
  }

  /** What the heads saw, mixed back to the hidden size. */
  mix(arena: Arena, heads: Tensor<"T,H,D">): Tensor<"T,C"> {
    const { numHeads, headSize } = this.config;
    const y = linear(arena, heads.view<"T,Q">([heads.shape[0]!, numHeads * headSize]), this.output.value);
    if (this.outputBias) addBias(y, this.outputBias.value);
    return y;
  }

  /** What backward reads lies in `arena`, `y` in `passing`. */
  forward(
    arena: Arena,
    passing: Arena,
    x: Tensor<"T,C">,
    mask: AttentionMask,
    rotation: Rotation,
  ): { y: Tensor<"T,C">; saved: FlashAttentionSaved } {
    const { numHeads, headSize, slidingWindow } = this.config;
    const qkv = this.project(arena, x, mask.positions, rotation);
    const options = { numHeads, scale: 1 / Math.sqrt(headSize), window: slidingWindow ?? 0 };
    const { y: heads, saved } = flashAttention(arena, qkv, mask, options);
    return { y: this.mix(passing, heads), saved };
  }

  /** Returns `dx`; adds to the gradients of the weights. */
  backward(
    arena: Arena,
    dy: Tensor<"T,C">,
    x: Tensor<"T,C">,
    saved: FlashAttentionSaved,
    rotation: Rotation,
  ): Tensor<"T,C"> {
    const { numHeads, numKvHeads, headSize } = this.config;
    const T = x.shape[0]!;

    if (this.outputBias) addBiasBackward(dy, this.outputBias.grad);
    linearBackwardWeight(dy, saved.y.view<"T,Q">([T, numHeads * headSize]), this.output.grad);
    const dy3 = linearBackwardInput(arena, dy, this.output.value).view<"T,H,D">([T, numHeads, headSize]);

    const dheads = flashAttentionBackward(arena, dy3, saved);
    ropeBackward(dheads, { positions: saved.mask.positions, ...rotation, rotated: numHeads + numKvHeads });

    const dqkv = dheads.view<"T,MD">([T, (numHeads + 2 * numKvHeads) * headSize]);
    if (this.qkvBias) addBiasBackward(dqkv, this.qkvBias.grad);
    linearBackwardWeight(dqkv, x, this.qkv.grad);
    return linearBackwardInput(arena, dqkv, this.qkv.value);
  }
}
