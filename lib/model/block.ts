import type { AttentionMask, FlashAttentionSaved } from "../kernels/flash_attention.js";
import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { Attention, type Rotation } from "./attention.js";
import type { ModelConfig } from "./config.js";
import { Mlp, type MlpSaved } from "./mlp.js";
import { Norm, type NormSaved, type Residual } from "./norm.js";
import type { Parameters } from "./parameters.js";

/**
 * What is computed again for the backward pass. `none`: swiglu's result, while its gradient is. `elementwise`: that of
 * the norms too, which needs no product either. `block`: whole blocks, of which only their input waits. The numbers are
 * the same.
 */
export type Recompute = "none" | "elementwise" | "block";

/** One half of a block: its norm, the norm's result unless that is computed again, and what follows. */
interface HalfSaved<Rest> {
  readonly norm: NormSaved;
  readonly normed?: Tensor<"T,C">;
  readonly rest: Rest;
}

export interface BlockSaved {
  readonly attention: HalfSaved<FlashAttentionSaved>;
  readonly mlp: HalfSaved<MlpSaved>;
}

/**
 * `h = x + attention(norm(x))`, `y = h + mlp(norm(h))`, each sum left to the norm behind it. What backward reads lies in
 * the arena. The halves have a part of it each for what passes: one reads what the other has left there.
 */
export class Block {
  readonly inputNorm: Norm;
  readonly attention: Attention;
  readonly postAttentionNorm: Norm;
  readonly mlp: Mlp;

  constructor(config: ModelConfig, parameters: Parameters, prefix: string) {
    const norm = (name: string) => new Norm(parameters.get(`${prefix}.${name}.weight`), config.rmsNormEps);
    this.inputNorm = norm("input_layernorm");
    this.attention = new Attention(config, parameters, `${prefix}.self_attn`);
    this.postAttentionNorm = norm("post_attention_layernorm");
    this.mlp = new Mlp(config, parameters, `${prefix}.mlp`);
  }

  forward(
    arena: Arena,
    x: Residual,
    mask: AttentionMask,
    rotation: Rotation,
    recompute: Recompute = "none",
  ): { y: Residual; saved: BlockSaved } {
    const isKept = recompute === "none";
    const first = arena.part("attention");
    first.reset();
    const { y: normed, saved: norm } = this.inputNorm.forward(arena, x, isKept ? arena : first);
    const own = recompute === "block" ? arena.part("block") : arena;
    if (recompute === "block") own.reset();
    const mixed = this.attention.forward(own, own.part("attention"), normed, mask, rotation);

    const second = own.part("mlp");
    second.reset();
    const h = { x: norm.x, update: mixed.y };
    const { y: renormed, saved: postNorm } = this.postAttentionNorm.forward(own, h, isKept ? own : second);
    const expanded = this.mlp.forward(own, second, renormed);

    const saved = {
      attention: { norm, ...(isKept && { normed }), rest: mixed.saved },
      mlp: { norm: postNorm, ...(isKept && { normed: renormed }), rest: expanded.saved },
    };
    return { y: { x: postNorm.x, update: expanded.y }, saved };
  }

  /** Returns `dx`; adds to the gradients of the weights. All that it makes lies in the halves' parts of `arena`. */
  backward(arena: Arena, dy: Tensor<"T,C">, saved: BlockSaved, rotation: Rotation): Tensor<"T,C"> {
    const second = arena.part("mlp");
    second.reset();
    const renormed = saved.mlp.normed ?? this.postAttentionNorm.forward(second, saved.mlp.norm).y;
    const drenormed = this.mlp.backward(second, dy, renormed, saved.mlp.rest);
    const dh = this.postAttentionNorm.backward(second, drenormed, dy, saved.mlp.norm);

    const first = arena.part("attention");
    first.reset();
    const normed = saved.attention.normed ?? this.inputNorm.forward(first, saved.attention.norm).y;
    const dnormed = this.attention.backward(first, dh, normed, saved.attention.rest, rotation);
    return this.inputNorm.backward(first, dnormed, dh, saved.attention.norm);
  }
}
