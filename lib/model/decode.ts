import { cast } from "../kernels/cast.js";
import { embedding } from "../kernels/embedding.js";
import { linear } from "../kernels/linear.js";
import { pagedAttention } from "../kernels/paged_attention.js";
import { type Moves, moveTokens } from "../kernels/sample_tokens.js";
import type { Arena } from "../tensor/arena.js";
import type { Tensor } from "../tensor/tensor.js";
import type { KvCache } from "./kv_cache.js";
import type { Llama } from "./llama.js";
import type { Residual } from "./norm.js";

// T = tokens, B = sequences, P = pages of the longest, R = tokens that logits are asked of, V = vocabulary

/** New tokens of any number of sequences, whose keys and values of all tokens before them are in the cache. */
export interface NewTokens {
  readonly tokens: Int32Array; // [T]
  /** Of which these are on the device alone: what `tokens` has in their places does not matter. */
  readonly moves?: Moves | undefined;
  readonly positions: Int32Array; // [T]
  /** The row of `pages` that a token's sequence has. */
  readonly sequences: Int32Array; // [T]
  /** Where a sequence's keys and values lie, page by page; anything behind its last page. */
  readonly pages: Int32Array; // [B,P]
  readonly numSequences: number;
  /** The tokens, among these, behind which logits are asked. */
  readonly rows: Int32Array; // [R]
}

/** Runs new tokens, keeps their keys and values, and returns the logits behind those that are asked for, in f32, if any. */
export function decode(model: Llama, arena: Arena, cache: KvCache, step: NewTokens): Tensor<"R,V"> | undefined {
  const { config, rotation } = model;
  const { pageSize } = cache;
  const width = step.pages.length / step.numSequences;
  const slotOf = (position: number, t: number): number =>
    step.pages[step.sequences[t]! * width + Math.floor(position / pageSize)]! * pageSize + (position % pageSize);
  const positions = arena.from<"T">(step.positions);
  const slots = arena.from<"T">(step.positions.map(slotOf));
  const places = {
    pages: arena.from<"B,P">(step.pages, [step.numSequences, width]),
    sequences: arena.from<"T">(step.sequences),
    positions,
  };
  const options = {
    numHeads: config.numHeads,
    scale: 1 / Math.sqrt(config.headSize),
    window: config.slidingWindow ?? 0,
  };

  const tokens = arena.from<"T">(step.tokens);
  if (step.moves !== undefined) moveTokens(arena, tokens, step.moves);
  let x: Residual = { x: embedding(arena, tokens, model.embedding.value) };
  model.blocks.forEach((block, layer) => {
    const own = arena.part(layer % 2 === 0 ? "even" : "odd"); // the other has what the block before left
    own.reset();
    const { y: normed, saved: norm } = block.inputNorm.forward(own, x);
    const qkv = block.attention.project(own, normed, positions, rotation);
    cache.write(layer, qkv, slots);
    const heads = pagedAttention(own, qkv, cache.layer(layer), places, options);
    const h = { x: norm.x, update: block.attention.mix(own, heads) };
    const { y: renormed, saved: postNorm } = block.postAttentionNorm.forward(own, h);
    x = { x: postNorm.x, update: block.mlp.forward(own, own, renormed).y };
  });
  if (step.rows.length === 0) return undefined;
  const { y: hidden } = model.norm.forward(arena, x);
  const logits = linear(arena, embedding(arena, arena.from<"R">(step.rows), hidden), model.head.value);
  return logits.dtype === "f32" ? logits : cast(arena.empty(logits.shape, "f32"), logits);
}
