import { cast } from "../lib/kernels/cast.js";
import { fill } from "../lib/kernels/fill.js";
import type { Llama } from "../lib/model/llama.js";
import { Arena } from "../lib/tensor/arena.js";
import type { AnyTensor } from "../lib/tensor/tensor.js";

// A period that is no power of two, often enough for few copies.
const PERIOD = 4093;
const wave = Float32Array.from({ length: PERIOD * 256 }, (_, i) => Math.sin((i % PERIOD) ** 2));

/**
 * Fills with values in [-scale, scale]. Only a million of them are made and cross over to the device, which copies them
 * on: a host takes seconds for the billions of a large model.
 */
export function fillWithNoise(tensor: AnyTensor, scale = 1): void {
  const size = Math.min(tensor.size, wave.length);
  using arena = new Arena(tensor.device);
  const source = arena.from<"N">(scale === 1 ? wave.subarray(0, size) : wave.subarray(0, size).map((x) => scale * x));
  for (let first = 0; first < tensor.size; first += size) {
    const length = Math.min(size, tensor.size - first);
    cast(tensor.view<"N">([length], first), source.view<"N">([length]));
  }
}

/** Weights of the size that training starts from, made on the device. */
export function drawWeights({ parameters, config }: Llama): void {
  for (const { name, shape } of parameters.specs) {
    const { value } = parameters.get(name);
    if (shape.length === 2) fillWithNoise(value, Math.SQRT2 * config.initializerRange);
    else fill(value, 1);
  }
}
