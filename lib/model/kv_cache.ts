import { kvCacheWrite, type PagedCache } from "../kernels/paged_attention.js";
import { Arena } from "../tensor/arena.js";
import type { Device } from "../tensor/device.js";
import type { DType, Tensor } from "../tensor/tensor.js";
import type { ModelConfig } from "./config.js";

// N = pages x tokens of a page, K = key/value heads, D = head size

export interface KvCacheOptions {
  readonly pages: number;
  /** Tokens of a page. */
  readonly pageSize: number;
  readonly dtype: DType;
}

/** Keys and values of every layer, in pages of so many tokens each. Which page is whose is not known here. */
export class KvCache implements Disposable {
  readonly pageSize: number;
  private readonly arena: Arena;
  private readonly keys: Tensor<"N,K,D">[];
  private readonly values: Tensor<"N,K,D">[];

  constructor(device: Device, config: ModelConfig, { pages, pageSize, dtype }: KvCacheOptions) {
    this.pageSize = pageSize;
    this.arena = new Arena(device);
    const shape = [pages * pageSize, config.numKvHeads, config.headSize];
    const allocate = () => Array.from({ length: config.numLayers }, () => this.arena.empty<"N,K,D">(shape, dtype));
    this.keys = allocate();
    this.values = allocate();
  }

  /** Of one token in all layers. */
  static bytesOfToken({ numLayers, numKvHeads, headSize }: ModelConfig, dtype: DType): number {
    return 2 * numLayers * numKvHeads * headSize * (dtype === "f32" ? 4 : 2);
  }

  layer(index: number): PagedCache {
    return { k: this.keys[index]!, v: this.values[index]!, pageSize: this.pageSize };
  }

  /** Keeps the keys and values of new tokens, token t at `slots[t]`. */
  write(layer: number, qkv: Tensor<"T,M,D">, slots: Tensor<"T">): void {
    const { k, v } = this.layer(layer);
    kvCacheWrite(qkv, slots, k, v);
  }

  [Symbol.dispose](): void {
    this.arena[Symbol.dispose]();
  }
}
