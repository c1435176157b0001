import { expect } from "vitest";

import type { KernelArgs } from "../../lib/kernels/args.generated.js";
import { call } from "../../lib/kernels/call.js";
import { native } from "../../lib/native/load.js";
import type { Field } from "../../lib/native/surface.js";
import { Arena } from "../../lib/tensor/arena.js";
import { Device, systemInfo } from "../../lib/tensor/device.js";
import type { AnyTensor, DType, Values } from "../../lib/tensor/tensor.js";

export type Arrays<K extends string = string> = Record<K, Float64Array>;
export type Axes<K extends string = string> = Record<K, number>;
export type Scalars<K extends string = string> = Record<K, number>;
/** What the dtype letters of a declaration stand for. */
export type DTypes = Readonly<Record<string, DType>>;

export interface Backend {
  readonly name: string;
  /** Elements before and behind every buffer that nobody may touch. Kernels take any address, so the first may be odd. */
  readonly guards: readonly [before: number, behind: number];
  device(threads: number): Device;
  /** A device of its own. */
  open(): Device;
}

const { instructionSets, cuda } = systemInfo();
/** Whether tests run under AddressSanitizer, which is slow: those of results that others read and write as well are left out. */
export const isSanitized = process.env.WESTWIND_TEST_EXACT !== undefined;
/** AddressSanitizer is to find what is read behind a tensor: its buffer ends there, and writes need no guards. */
const guards = (count: number): Backend["guards"] => (isSanitized ? [count % 64, 0] : [count, count]);

let gpu: Device | undefined;
const openGpu = (): Device => {
  gpu ??= Device.cuda(0);
  return gpu;
};

/**
 * Everything kernels run on here: the CPU with each of its instruction sets, a GPU with buffers that begin where 16 bytes
 * do and with others. WESTWIND_TEST_BACKENDS keeps those whose names begin so. Devices live as long as the test file.
 */
export const backends: readonly Backend[] = [
  ...instructionSets.map((instructionSet) => {
    const devices = new Map<number, Device>();
    return {
      name: instructionSet,
      guards: guards(67),
      device(threads: number) {
        const device = devices.get(threads) ?? Device.cpu({ threads, instructionSet });
        devices.set(threads, device);
        return device;
      },
      open: () => Device.cpu({ threads: 1, instructionSet }),
    };
  }),
  ...(cuda.length > 0
    ? [
        { name: "cuda", guards: guards(64), device: openGpu, open: () => Device.cuda(0) },
        { name: "cuda unaligned", guards: guards(67), device: openGpu, open: () => Device.cuda(0) },
      ]
    : []),
].filter(({ name }) => name.startsWith(process.env.WESTWIND_TEST_BACKENDS ?? ""));

export interface Launch {
  readonly axes: Axes;
  readonly dtypes: DTypes;
  readonly scalars: Scalars;
  /** Starting values of every in, acc and update, by name. */
  readonly values: Readonly<Record<string, Float64Array>>;
}

/** What a tensor holds after the launch: as numbers, and as bits for comparisons between runs. */
export interface Outcome {
  readonly dtype: DType;
  readonly values: Float64Array;
  readonly bits: Values;
}

export function fieldsOf(kernel: string): readonly Field[] {
  const fields = native.manifest[kernel];
  if (!fields) throw new Error(`no kernel is named ${kernel}`);
  return fields;
}

export const tensorsOf = (kernel: string): readonly Field[] => fieldsOf(kernel).filter(({ role }) => role !== "scalar");

/** "t[R,1]" with t = bf16 and R = 7: bf16 and [7, 1]. */
export function resolve(spec: string, axes: Axes, dtypes: DTypes): { dtype: DType; shape: number[] } {
  const [, dtype, names] = /^(\w+)\[([\w,]+)\]$/.exec(spec)!;
  const shape = names!.split(",").map((axis) => axes[axis] ?? Number(axis));
  if (shape.some(Number.isNaN)) throw new Error(`${spec}: the axes given are ${Object.keys(axes)}`);
  return { dtype: dtypes[dtype!] ?? (dtype as DType), shape };
}

/**
 * Runs one kernel once. Outputs start as NaN (i32: -1), so what a kernel forgets to write shows. Throws when it touched
 * memory around a tensor, or an input.
 */
export async function launch(
  { guards: [before, behind], device }: Backend,
  threads: number,
  kernel: string,
  run: Launch,
): Promise<Record<string, Outcome>> {
  using arena = new Arena(device(threads));
  const tensors = tensorsOf(kernel).map(({ name, role, spec }, index) => {
    const { dtype, shape } = resolve(spec, run.axes, run.dtypes);
    const size = shape.reduce((n, dim) => n * dim, 1);
    const start = role === "out" ? bitsOf(dtype, size) : encode(dtype, run.values[name]!);
    if (start.length !== size) throw new Error(`${kernel}: ${start.length} values for ${name} of ${size}`);
    const bits = bitsOf(dtype, before + size + behind, index + 1);
    bits.set(start, before);
    const buffer: AnyTensor = arena.empty([bits.length], dtype);
    buffer.upload(dtype === "f32" ? new Float32Array(bits.buffer) : (bits as Values));
    return { name, role, dtype, size, bits, buffer, tensor: buffer.view(shape, before) as AnyTensor };
  });

  const args = { ...Object.fromEntries(tensors.map(({ name, tensor }) => [name, tensor])), ...run.scalars };
  call(kernel as keyof KernelArgs, args as never);

  const outcomes: Record<string, Outcome> = {};
  for (const { name, role, dtype, size, bits: start, buffer } of tensors) {
    const read = await buffer.read();
    const after = dtype === "f32" ? new Uint32Array(read.buffer) : read;
    const changed = (from: number, to: number) => Buffer.compare(bytes(start, from, to), bytes(after, from, to)) !== 0;
    const end = before + size;
    expect(changed(0, before), `${kernel} wrote before ${name}`).toBe(false);
    expect(changed(end, end + behind), `${kernel} wrote behind ${name}`).toBe(false);
    if (role === "in") expect(changed(before, end), `${kernel} wrote to its input ${name}`).toBe(false);
    const bits = read.slice(before, end);
    outcomes[name] = { dtype, bits, values: decode(dtype, bits) };
  }
  return outcomes;
}

/** The numbers as a tensor of this dtype holds them. */
export const rounded = (dtype: DType, values: ArrayLike<number>): Float64Array =>
  decode(dtype, asValues(dtype, encode(dtype, values)));

/** A NaN everywhere, or for i32 an index out of any range: `mark` tells the guards of the tensors apart. */
function bitsOf(dtype: DType, size: number, mark = 0): Uint32Array | Uint16Array | Int32Array | Uint8Array {
  if (dtype === "u8") return new Uint8Array(size).fill(mark ? 0xc0 + mark : 0xff);
  if (dtype === "bf16" || dtype === "u16") return new Uint16Array(size).fill(mark ? 0x7fc0 + mark : 0xffff);
  if (dtype === "i32") return new Int32Array(size).fill(mark ? 0x7fc00000 + mark : -1);
  return new Uint32Array(size).fill(mark ? 0x7fc00000 + mark : 0xffffffff);
}

function encode(dtype: DType, values: ArrayLike<number>): Uint32Array | Uint16Array | Int32Array | Uint8Array {
  if (dtype === "u8") return Uint8Array.from(values);
  if (dtype === "i32") return Int32Array.from(values);
  if (dtype === "u16") return Uint16Array.from(values);
  const bits = new Uint32Array(Float32Array.from(values).buffer);
  if (dtype === "f32") return bits;
  // To nearest even. A NaN would carry over into infinity.
  return Uint16Array.from(bits, (u, i) => (Number.isNaN(values[i]) ? 0x7fc0 : (u + 0x7fff + ((u >>> 16) & 1)) >>> 16));
}

const asValues = (dtype: DType, bits: Uint32Array | Uint16Array | Int32Array | Uint8Array): Values =>
  dtype === "f32" ? new Float32Array(bits.buffer) : (bits as Values);

function decode(dtype: DType, values: Values): Float64Array {
  if (dtype !== "bf16") return Float64Array.from(values);
  return Float64Array.from(new Float32Array(Uint32Array.from(values, (bits) => bits << 16).buffer));
}

const bytes = (array: Values | Uint32Array, from: number, to: number): Uint8Array =>
  new Uint8Array(array.buffer, from * array.BYTES_PER_ELEMENT, (to - from) * array.BYTES_PER_ELEMENT);
