import { add } from "../kernels/add.js";
import type { AttentionMask } from "../kernels/flash_attention.js";
import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { Attention, type AttentionSaved, type Rotation } from "./attention.js";
import type { ModelConfig } from "./config.js";
import { Mlp, type MlpSaved } from "./mlp.js";
import { Norm, type RmsNormSaved } from "./norm.js";
import type { Parameters } from "./parameters.js";

export interface BlockSaved {
  readonly inputNorm: RmsNormSaved<"T", "C">;
  readonly attention: AttentionSaved;
  readonly postAttentionNorm: RmsNormSaved<"T", "C">;
  readonly mlp: MlpSaved;
}

/**
 * `h = x + attention(norm(x))`, `y = h + mlp(norm(h))`. What backward reads lies in the arena, what only the block itself
 * reads in its `passing`.
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

  /** `y` lies in `output`. */
  forward(
    arena: Arena,
    x: Tensor<"T,C">,
    mask: AttentionMask,
    rotation: Rotation,
    output = arena,
  ): { y: Tensor<"T,C">; saved: BlockSaved } {
    arena.passing.reset();
    const normed = this.inputNorm.forward(arena, x);
    const mixed = this.attention.forward(arena, normed.y, mask, rotation);
    const h = add(arena, x, mixed.y);

    const renormed = this.postAttentionNorm.forward(arena, h);
    const expanded = this.mlp.forward(arena, renormed.y);
    const y = add(output, h, expanded.y);

    const saved = {
      inputNorm: normed.saved,
      attention: mixed.saved,
      postAttentionNorm: renormed.saved,
      mlp: expanded.saved,
    };
    return { y, saved };
  }

  /** Returns `dx`; adds to the gradients of the weights. Whatever else it makes lies in `arena.passing`. */
  backward(arena: Arena, dy: Tensor<"T,C">, saved: BlockSaved, rotation: Rotation): Tensor<"T,C"> {
    const { passing } = arena;
    passing.reset();
    const drenormed = this.mlp.backward(passing, dy, saved.mlp);
    const dh = this.postAttentionNorm.backward(passing, drenormed, dy, saved.postAttentionNorm);

    const dnormed = this.attention.backward(passing, dh, saved.attention, rotation);
    return this.inputNorm.backward(arena, dnormed, dh, saved.inputNorm);
  }
}
