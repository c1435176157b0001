import { native } from "../native/load.js";
import { Tensor } from "../tensor/tensor.js";
import type { KernelArgs } from "./args.generated.js";

/** Enqueues a kernel on the stream of its tensors. Arguments are checked against its declaration before that. */
export function call<K extends keyof KernelArgs>(kernel: K, args: KernelArgs[K]): void {
  const named = args as unknown as Record<string, Tensor<string> | number>;
  const values: number[] = [];
  let stream = 0;
  for (const { name } of native.manifest[kernel]!) {
    const value = named[name];
    if (value instanceof Tensor) {
      stream = value.device.stream;
      values.push(value.handle);
    } else {
      values.push(value as number); // the addon refuses what is not a number
    }
  }
  native.kernels[kernel]!(stream, ...values);
}
