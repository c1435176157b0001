import { expect, test } from "vitest";

import { readModelConfig } from "../../lib/model/config.js";
import { initialise } from "../../lib/model/init.js";
import { Llama } from "../../lib/model/llama.js";
import { Device } from "../../lib/tensor/device.js";

test("matrices are normal, norms 1, biases 0, and a seed draws the same again", async () => {
  using device = Device.cpu();
  const config = await readModelConfig("test/golden/tiny-llama-bias");
  using model = new Llama(device, config, { dtype: "f32", trainable: false });
  const read = (name: string) => model.parameters.get(name).value.readFloats();

  initialise(model, 5);
  const embedding = await read("model.embed_tokens.weight");
  const mean = embedding.reduce((sum, value) => sum + value, 0) / embedding.length;
  const deviation = Math.sqrt(embedding.reduce((sum, value) => sum + (value - mean) ** 2, 0) / embedding.length);
  expect(Math.abs(mean)).toBeLessThan(0.1 * config.initializerRange);
  expect(deviation / config.initializerRange).toBeCloseTo(1, 1);
  expect(new Set(await read("model.norm.weight"))).toEqual(new Set([1]));
  expect(new Set(await read("model.layers.0.self_attn.q_proj.bias"))).toEqual(new Set([0]));

  initialise(model, 6);
  expect(await read("model.embed_tokens.weight")).not.toEqual(embedding);
  initialise(model, 5);
  expect(await read("model.embed_tokens.weight")).toEqual(embedding);
});
