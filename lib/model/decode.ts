import { embedding } from "../kernels/embedding.js";
import { linear } from "../kernels/linear.js";
import { pagedAttention } from "../kernels/paged_attention.js";
import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import { type PackedTokens, uploadInput } from "./input.js";
import type { KvCache } from "./kv_cache.js";
import type { Llama } from "./llama.js";
import type { Residual } from "./norm.js";

// B = sequences, T = packed tokens, C = hidden size, V = vocabulary

/** Runs whole prompts, keeps their keys and values at `slots`, and returns the logits behind the tokens `rows`. */
export function prefill(
  model: Llama,
  arena: Arena,
  cache: KvCache,
  prompts: PackedTokens & { readonly slots: Int32Array; readonly rows: Int32Array },
): Tensor<"B,V"> {
  const { hidden, saved } = model.forward(arena, uploadInput(arena, prompts));
  const slots = arena.from<"T">(prompts.slots);
  saved.blocks.forEach((block, layer) => {
    cache.write(layer, block.attention.rest.qkv, slots);
  });
  return linear(arena, embedding(arena, arena.from<"B">(prompts.rows), hidden), model.head.value);
}

/** Where the next token of each sequence goes. Sequence b's keys lie at slots [begins[b], begins[b] + lengths[b]). */
export interface DecodeStep {
  readonly tokens: Int32Array; // [B]
  readonly begins: Int32Array; // [B]
  readonly lengths: Int32Array; // [B], the new token included; its position is one less
}

/** Runs one new token per sequence over the cache, into which it is put, and returns the logits behind it. */
export function decode(model: Llama, arena: Arena, cache: KvCache, step: DecodeStep): Tensor<"B,V"> {
  const { config, rotation } = model;
  const positions = arena.from<"T">(step.lengths.map((length) => length - 1));
  const slots = arena.from<"T">(step.begins.map((begin, b) => begin + step.lengths[b]! - 1));
  const where = {
    pages: arena.from<"B">(step.begins.map((begin) => begin / cache.capacity)).view<"B,P">([step.begins.length, 1]),
    sequences: arena.from<"T">(step.begins.map((_, b) => b)),
    positions,
  };
  const options = {
    numHeads: config.numHeads,
    scale: 1 / Math.sqrt(config.headSize),
    window: config.slidingWindow ?? 0,
  };

  let x: Residual = { x: embedding(arena, arena.from<"T">(step.tokens), model.embedding.value) };
  model.blocks.forEach((block, layer) => {
    const { y: normed, saved: norm } = block.inputNorm.forward(arena, x);
    const qkv = block.attention.project(arena, normed, positions, rotation);
    cache.write(layer, qkv, slots);
    const heads = pagedAttention(arena, qkv, cache.layer(layer), where, options);
    const h = { x: norm.x, update: block.attention.mix(arena, heads) };
    const { y: renormed, saved: postNorm } = block.postAttentionNorm.forward(arena, h);
    x = { x: postNorm.x, update: block.mlp.forward(arena, arena, renormed).y };
  });
  return linear(arena, model.norm.forward(arena, x).y.view<"B,C">(x.x.shape), model.head.value);
}
