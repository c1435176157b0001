import { Random } from "../base/random.js";
import type { Llama } from "./llama.js";

/**
 * Draws every weight as transformers does for this family: matrices from a normal distribution of standard deviation
 * `initializer_range`, norms 1, biases 0. Each parameter has its own stream of the seed.
 */
export function initialise({ parameters, config }: Llama, seed: number): void {
  parameters.specs.forEach(({ name, shape }, stream) => {
    const random = new Random(seed, stream);
    const values = new Float32Array(shape.reduce((n, dim) => n * dim, 1));
    if (shape.length === 2)
      for (let i = 0; i < values.length; i++) values[i] = config.initializerRange * random.normal();
    else if (name.endsWith("norm.weight")) values.fill(1);
    for (const half of parameters.halves(name)) half.upload(values);
  });
}
