import { native } from "../native/load.js";
import type { DType } from "../native/surface.js";
import type { Device } from "./device.js";

export type { DType } from "../native/surface.js";

const ARRAYS = { f32: Float32Array, bf16: Uint16Array, i32: Int32Array, u16: Uint16Array, u8: Uint8Array } as const;

declare const axes: unique symbol;

export type Values = Float32Array | Uint16Array | Int32Array | Uint8Array;

/**
 * Contiguous memory on a device, named by a handle that ends with its arena. `A` names the axes for the compiler
 * ("T,C"); at run time it costs nothing. `in out` keeps `Tensor<"T,C">` and `Tensor<"T,F">` apart even where TypeScript
 * would union them.
 */
export class Tensor<in out A extends string> {
  declare readonly [axes]: A;

  constructor(
    readonly device: Device,
    readonly handle: number,
    readonly dtype: DType,
    readonly shape: readonly number[],
    /** Held so that the arena is not taken for forgotten while a tensor of it is in use. */
    private readonly arena: object,
  ) {}

  get size(): number {
    return this.shape.reduce((n, dim) => n * dim, 1);
  }

  /** The same memory, or a part of it from element `first` on, under another shape. */
  view<B extends string>(shape: readonly number[], first = 0): Tensor<B> {
    const handle = native.viewTensor(this.handle, first, ...shape);
    return new Tensor<B>(this.device, handle, this.dtype, shape, this.arena);
  }

  /**
   * Enqueues a copy of `values`: f32, bits of bf16 or u16 (Uint16Array), i32, or u8. Of f32 a bf16 tensor takes the upper
   * half and a u16 tensor the lower, as split_master in native/kernels/adamw_storage.h has them.
   */
  upload(values: Values): void {
    native.uploadTensor(this.handle, values);
  }

  /** The elements once everything enqueued so far has run, in the array of their dtype; bf16 as the bits it is. */
  async read(): Promise<Values> {
    const bytes = await native.readTensor(this.device.stream, this.handle);
    return new ARRAYS[this.dtype](bytes);
  }

  /** The elements as numbers, whatever the dtype. */
  async readFloats(): Promise<Float32Array> {
    const values = await this.read();
    if (values instanceof Float32Array) return values;
    if (this.dtype !== "bf16") return Float32Array.from(values);
    const widened = new Uint32Array(values.length); // a loop, since from() takes 80 ns a number
    for (let i = 0; i < values.length; i++) widened[i] = values[i]! << 16;
    return new Float32Array(widened.buffer);
  }
}

/** All elements in one axis. A tensor that has one is itself: a view would live as long as its arena. */
export const flat = (tensor: AnyTensor): Tensor<"N"> =>
  tensor.shape.length === 1 ? tensor : tensor.view([tensor.size]);

/** Where only the memory matters, not its axes. */
// biome-ignore lint/suspicious/noExplicitAny: the one place that erases the phantom axes
export type AnyTensor = Tensor<any>;

/** A weight and its gradient, both views of flat arenas. Gradients accumulate in f32 whatever the weight's dtype. */
export interface Param<A extends string> {
  readonly value: Tensor<A>;
  readonly grad: Tensor<A>;
}
