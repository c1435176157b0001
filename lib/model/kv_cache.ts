import { kvCacheWrite, type PagedCache } from "../kernels/paged_attention.js";
import { Arena } from "../tensor/arena.js";
import type { Device } from "../tensor/device.js";
import type { DType, Tensor } from "../tensor/tensor.js";
import type { ModelConfig } from "./config.js";

// N = sequences x capacity, K = key/value heads, D = head size

/** Keys and values of every layer for a number of sequences of at most `capacity` tokens each. */
export class KvCache implements Disposable {
  /** Slots of a sequence, which are one page: sequence b has the slots from b * capacity on. */
  readonly capacity: number;
  private readonly arena: Arena;
  private readonly keys: Tensor<"N,K,D">[];
  private readonly values: Tensor<"N,K,D">[];

  constructor(
    device: Device,
    config: ModelConfig,
    options: { readonly sequences: number; readonly capacity: number; readonly dtype: DType },
  ) {
    this.capacity = options.capacity;
    this.arena = new Arena(device);
    const shape = [options.sequences * options.capacity, config.numKvHeads, config.headSize];
    const allocate = () =>
      Array.from({ length: config.numLayers }, () => this.arena.empty<"N,K,D">(shape, options.dtype));
    this.keys = allocate();
    this.values = allocate();
  }

  layer(index: number): PagedCache {
    return { k: this.keys[index]!, v: this.values[index]!, pageSize: this.capacity };
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
