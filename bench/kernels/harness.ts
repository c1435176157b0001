import { Bench } from "tinybench";

import { WestwindError } from "../../lib/base/errors.js";
import { Random } from "../../lib/base/random.js";
import type { KernelArgs } from "../../lib/kernels/args.generated.js";
import { call } from "../../lib/kernels/call.js";
import { fill } from "../../lib/kernels/fill.js";
import { native } from "../../lib/native/load.js";
import { Arena } from "../../lib/tensor/arena.js";
import type { Device } from "../../lib/tensor/device.js";
import type { AnyTensor, DType, Values } from "../../lib/tensor/tensor.js";
import { fillWithNoise } from "../noise.js";

export type Axes = Readonly<Record<string, number>>;
export type KernelName = keyof KernelArgs;

/** What to time: one kernel over some shapes. A file bench/kernels/<kernel>.bench.ts exports a list of these. */
export interface KernelBench {
  readonly kernel: KernelName;
  /** The kind of device whose shapes these are; default "cpu". */
  readonly on?: "cpu" | "cuda";
  /** Every axis letter of the declaration. */
  readonly axes: readonly Axes[];
  readonly scalars?: Readonly<Record<string, number>> | ((axes: Axes) => Readonly<Record<string, number>>);
  /** Tensors that are not noise in [-1, 1]: token ids, masks, or one number everywhere. */
  readonly inputs?: Readonly<Record<string, number | ((axes: Axes, random: Random) => Float32Array | Int32Array)>>;
  /** What the dtype letters stand for. Default: all f32, then all bf16. */
  readonly dtypes?: readonly DTypes[];
  /** Bytes that have to be moved, where the declaration alone does not tell. */
  readonly bytes?: (axes: Axes, dtypes: DTypes) => number;
  /** Operations, where the declaration's count supposes something that does not hold here. */
  readonly flops?: (axes: Axes) => number;
}

export type DTypes = Readonly<Record<string, DType>>;

/** What models are trained in on a GPU. */
export const BF16: readonly DTypes[] = [{ t: "bf16" }];

export interface Timing {
  readonly kernel: string;
  readonly axes: Axes;
  readonly dtype: string;
  readonly us_p20: number;
  readonly us_p50: number;
  readonly us_p80: number;
  /** From us_p50. */
  readonly gflops: number;
  readonly gb_s: number;
}

const DTYPE_BYTES: Readonly<Record<DType, number>> = { f32: 4, bf16: 2, i32: 4, u16: 2, u8: 1 };

export const dtypeBytes = (dtype: DType | undefined): number => DTYPE_BYTES[dtype ?? "f32"];

/** Microseconds a sample lasts at least: waiting for the stream costs some tens of them. */
const SAMPLE_US = { cpu: 4000, cuda: 10_000, none: 0 };

/**
 * On a GPU calls go round among sets of tensors of so many bytes together, so that none finds its own in the second
 * cache (60 MB on an H200), as none does in training.
 */
const ROTATED_BYTES = 256e6;
const MOST_SETS = 16;

/** Times every shape and dtype of one entry; on the CPU the buffers are as warm as repetition makes them. */
export async function* timeKernel(device: Device, entry: KernelBench): AsyncGenerator<Timing> {
  for (const axes of entry.axes) {
    for (const dtypes of entry.dtypes ?? defaultDTypes(entry.kernel)) {
      const scalars = typeof entry.scalars === "function" ? entry.scalars(axes) : (entry.scalars ?? {});
      using arena = new Arena(device);
      const { tensors, bytes, held } = allocate(arena, entry, axes, dtypes);
      const sets = [{ ...tensors, ...scalars }];
      const count = device.kind === "cuda" ? Math.min(MOST_SETS, Math.ceil(ROTATED_BYTES / held)) : 1;
      while (sets.length < count) sets.push({ ...allocate(arena, entry, axes, dtypes).tensors, ...scalars });
      let next = 0;
      const us = await sample(device, () => call(entry.kernel, sets[next++ % count] as never));
      const p50 = quantile(us, 0.5);
      const flops = entry.flops?.(axes) ?? countFlops(entry.kernel, sets[0]!);
      yield {
        kernel: entry.kernel,
        axes,
        dtype: Object.values(dtypes).join(">") || "f32",
        us_p20: quantile(us, 0.2),
        us_p50: p50,
        us_p80: quantile(us, 0.8),
        gflops: flops / p50 / 1e3,
        gb_s: (entry.bytes?.(axes, dtypes) ?? bytes) / p50 / 1e3,
      };
    }
  }
}

/** Microseconds per call of each sample, sorted. */
async function sample(device: Device, run: () => void): Promise<number[]> {
  run();
  await device.sync();
  const started = performance.now();
  for (let i = 0; i < 3; i++) run();
  await device.sync();
  const us = ((performance.now() - started) * 1000) / 3;
  const calls = Math.max(1, Math.ceil(SAMPLE_US[device.kind] / us));

  const bench = new Bench({
    time: device.kind === "cuda" ? 150 : 400,
    iterations: 10,
    warmupTime: 50,
    warmupIterations: 2,
    retainSamples: true,
    throws: true,
  });
  const task = async () => {
    const start = performance.now();
    for (let i = 0; i < calls; i++) run();
    await device.sync();
    return { overriddenDuration: (performance.now() - start) / calls };
  };
  bench.add("calls", task, { async: true });
  const [done] = await bench.run();
  const result = done!.result;
  if (!("latency" in result)) throw new WestwindError("ERR_BENCH", `the timer ended as ${result.state}`);
  return result.latency.samples!.map((ms) => ms * 1000).sort((a, b) => a - b);
}

/**
 * Memory for every tensor of the declaration, the bytes it takes, and those a call has to move: in is read, out written,
 * acc and update both.
 */
function allocate(
  arena: Arena,
  { kernel, inputs = {} }: KernelBench,
  axes: Axes,
  dtypes: DTypes,
): { tensors: Record<string, AnyTensor>; held: number; bytes: number } {
  const random = new Random(1);
  const tensors: Record<string, AnyTensor> = {};
  let [held, bytes] = [0, 0];
  for (const { name, role, spec } of native.manifest[kernel]!) {
    if (role === "scalar") continue;
    const [, letter, names] = /^(\w+)\[([\w,]+)\]$/.exec(spec)!;
    const dtype = dtypes[letter!] ?? (letter as DType);
    const shape = names!.split(",").map((axis) => axes[axis] ?? Number(axis));
    const tensor: AnyTensor = arena.empty(shape, dtype);
    const given = inputs[name] ?? wholeNumbers(dtype, tensor.size);
    if (given === undefined) fillWithNoise(tensor);
    else if (typeof given === "number") fill(tensor, given);
    else tensor.upload(typeof given === "function" ? given(axes, random) : given);
    tensors[name] = tensor;
    held += tensor.size * dtypeBytes(dtype);
    bytes += tensor.size * dtypeBytes(dtype) * (role === "acc" || role === "update" ? 2 : 1);
  }
  return { tensors, held, bytes };
}

/** Zeros, for what is not a floating-point number. */
function wholeNumbers(dtype: DType, size: number): Values | undefined {
  if (dtype === "i32") return new Int32Array(size);
  if (dtype === "u8") return new Uint8Array(size);
  return dtype === "u16" ? new Uint16Array(size) : undefined;
}

function countFlops(kernel: string, args: Readonly<Record<string, AnyTensor | number>>): number {
  const values = native.manifest[kernel]!.map(({ name }) => {
    const value = args[name]!;
    return typeof value === "number" ? value : value.handle;
  });
  return native.flops[kernel]!(...values);
}

function defaultDTypes(kernel: string): DTypes[] {
  const letters = native.manifest[kernel]!.flatMap(({ spec }) => /^([a-z])\[/.exec(spec)?.[1] ?? []);
  if (letters.length === 0) return [{}];
  return (["f32", "bf16"] as const).map((dtype) => Object.fromEntries(letters.map((letter) => [letter, dtype])));
}

const quantile = (sorted: readonly number[], q: number): number => sorted[Math.floor(q * (sorted.length - 1))]!;
