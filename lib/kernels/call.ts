import { native } from "../native/load.js";
import { Tensor } from "../tensor/tensor.js";
import type { KernelArgs } from "./args.generated.js";

interface Kernel {
  readonly names: readonly string[];
  readonly run: (stream: number, ...values: number[]) => void;
}

const kernels = new Map<string, Kernel>(
  Object.entries(native.manifest).map(([kernel, fields]) => [
    kernel,
    { names: fields.map(({ name }) => name), run: native.kernels[kernel]! },
  ]),
);

/** Enqueues a kernel on the stream of its tensors. Arguments are checked against its declaration before that. */
export function call<K extends keyof KernelArgs>(kernel: K, args: KernelArgs[K]): void {
  const { names, run } = kernels.get(kernel)!;
  const named = args as unknown as Record<string, Tensor<string> | number>;
  const values: number[] = [0]; // the stream
  for (const name of names) {
    const value = named[name];
    if (value instanceof Tensor) {
      values[0] = value.device.stream;
      values.push(value.handle);
    } else {
      values.push(value as number); // the addon refuses what is not a number
    }
  }
  run.apply(undefined, values as [number, ...number[]]);
}
