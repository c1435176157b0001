import { native } from "../native/load.js";
import type { Device } from "./device.js";
import { type DType, Tensor } from "./tensor.js";

/** Tells of arenas that were forgotten rather than disposed of. A net for leaks, not a way to free memory. */
const forgotten = new FinalizationRegistry((handle: number) => native.disposeArena(handle));

/** Bytes of an arena, of what passes in it, and of what is computed twice. */
export interface ArenaBytes {
  readonly kept: number;
  readonly passing: number;
  readonly repeated?: ArenaBytes;
}

export const totalBytes = ({ kept, passing, repeated }: ArenaBytes): number =>
  kept + passing + (repeated ? totalBytes(repeated) : 0);

/**
 * Memory that is handed out by moving a pointer and taken back all at once. Parameters live in arenas that are never
 * reset; the activations of a micro-batch in one that is reset when its backward pass has been enqueued.
 */
export class Arena implements Disposable {
  private readonly handle: number;
  private passingArena: Arena | undefined;
  private repeatedArena: Arena | undefined;

  /** Takes `kept` bytes from the device at once, `passing` ones when they are first used, and more when they are needed. */
  constructor(
    readonly device: Device,
    private readonly reserve: Partial<ArenaBytes> = {},
  ) {
    this.handle = native.createArena(device.stream, reserve.kept ?? 0);
    forgotten.register(this, this.handle, this);
  }

  /** Uninitialised memory: every element is to be written before it is read. */
  empty<A extends string>(shape: readonly number[], dtype: DType): Tensor<A> {
    const handle = native.createTensor(this.handle, dtype, ...shape);
    return new Tensor<A>(this.device, handle, dtype, shape, this);
  }

  from<A extends string>(values: Float32Array | Int32Array, shape: readonly number[] = [values.length]): Tensor<A> {
    const tensor = this.empty<A>(shape, values instanceof Int32Array ? "i32" : "f32");
    tensor.upload(values);
    return tensor;
  }

  /** Memory of its own for what does not outlive a part of the work, such as a layer: its owner resets it there. */
  get passing(): Arena {
    this.passingArena ??= new Arena(this.device, { kept: this.reserve.passing ?? 0 });
    return this.passingArena;
  }

  /** Likewise for what is given up after the forward pass and computed again in the backward pass. */
  get repeated(): Arena {
    this.repeatedArena ??= new Arena(this.device, this.reserve.repeated);
    return this.repeatedArena;
  }

  /** Ends every tensor of this arena; using one is an error from here on. Work already enqueued is not disturbed. */
  reset(): void {
    this.passingArena?.reset();
    this.repeatedArena?.reset();
    native.resetArena(this.handle);
  }

  /** The most bytes that were in use between two resets: an arena that reserves as much never grows. */
  get peak(): ArenaBytes {
    const own = { kept: native.arenaPeak(this.handle), passing: this.passingArena?.peak.kept ?? 0 };
    return this.repeatedArena ? { ...own, repeated: this.repeatedArena.peak } : own;
  }

  /** Bytes taken from the device. */
  get bytes(): number {
    return native.arenaBytes(this.handle) + (this.passingArena?.bytes ?? 0) + (this.repeatedArena?.bytes ?? 0);
  }

  [Symbol.dispose](): void {
    this.passingArena?.[Symbol.dispose]();
    this.repeatedArena?.[Symbol.dispose]();
    forgotten.unregister(this);
    native.disposeArena(this.handle);
  }
}
