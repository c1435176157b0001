import { native } from "../native/load.js";
import type { Device } from "./device.js";
import { type DType, Tensor } from "./tensor.js";

/** Tells of arenas that were forgotten rather than disposed of. A net for leaks, not a way to free memory. */
const forgotten = new FinalizationRegistry((handle: number) => native.disposeArena(handle));

/** Bytes of an arena's own, and of its parts. */
export interface ArenaBytes {
  readonly kept: number;
  readonly parts?: Readonly<Record<string, ArenaBytes>>;
}

export const totalBytes = ({ kept, parts = {} }: ArenaBytes): number =>
  Object.values(parts).reduce((sum, part) => sum + totalBytes(part), kept);

/**
 * Memory that is handed out by moving a pointer and taken back all at once. Parameters live in arenas that are never
 * reset; the activations of a micro-batch in one that is reset when its backward pass has been enqueued.
 */
export class Arena implements Disposable {
  private readonly handle: number;
  private readonly parts = new Map<string, Arena>();

  /** Takes `reserve` from the device, a part's when it is first used, and more when it is needed. */
  constructor(
    readonly device: Device,
    private readonly reserve: ArenaBytes = { kept: 0 },
  ) {
    this.handle = native.createArena(device.stream, reserve.kept);
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

  /** Memory of its own for what does not outlive a part of the work, such as half a layer: its owner resets it there. */
  part(name: string): Arena {
    const known = this.parts.get(name);
    if (known) return known;
    const made = new Arena(this.device, this.reserve.parts?.[name]);
    this.parts.set(name, made);
    return made;
  }

  /** Ends every tensor of this arena; using one is an error from here on. Work already enqueued is not disturbed. */
  reset(): void {
    for (const part of this.parts.values()) part.reset();
    native.resetArena(this.handle);
  }

  /** The most bytes that were in use between two resets: an arena that reserves as much never grows. */
  get peak(): ArenaBytes {
    const kept = native.arenaPeak(this.handle);
    if (this.parts.size === 0) return { kept };
    return { kept, parts: Object.fromEntries([...this.parts].map(([name, part]) => [name, part.peak])) };
  }

  /** Bytes taken from the device. */
  get bytes(): number {
    return [...this.parts.values()].reduce((sum, part) => sum + part.bytes, native.arenaBytes(this.handle));
  }

  [Symbol.dispose](): void {
    for (const part of this.parts.values()) part[Symbol.dispose]();
    forgotten.unregister(this);
    native.disposeArena(this.handle);
  }
}
