import { expect, test } from "vitest";

import { AbortedError } from "../../lib/base/errors.js";
import { loadModel } from "../../lib/checkpoint/load_model.js";
import { generate } from "../../lib/generate/generate.js";
import { Device } from "../../lib/tensor/device.js";
import { TEST_DEVICE } from "../test_device.js";

async function tinyModel(device: Device, name = "tiny-mistral") {
  return loadModel(device, `test/golden/${name}`, { dtype: "f32", trainable: false });
}
const prompts = [[1, 15, 10], [1, 70, 96, 35, 45, 40, 40, 61, 12, 64, 91, 48], [7]].map((ids) => Int32Array.from(ids));

test("a batch gives each prompt the answer it gets alone, past the sliding window too", async () => {
  using device = Device.open(TEST_DEVICE);
  using model = await tinyModel(device);
  const together = await generate(model, prompts, { maxNewTokens: 20 });
  for (const [i, prompt] of prompts.entries()) {
    const [alone] = await generate(model, [prompt], { maxNewTokens: 20 });
    expect([...together[i]!.ids]).toEqual([...alone!.ids]);
  }
});

test("each step is what the whole sequence gives without a cache", async () => {
  using device = Device.open(TEST_DEVICE);
  for (const name of ["tiny-mistral", "tiny-llama-rope", "tiny-llama-bias"]) {
    using model = await tinyModel(device, name);
    let ids = [...prompts[1]!];
    const [cached] = await generate(model, [prompts[1]!], { maxNewTokens: 12 });
    for (let i = 0; i < 12; i++) {
      const [next] = await generate(model, [Int32Array.from(ids)], { maxNewTokens: 1 });
      ids = [...ids, next!.ids[0]!];
    }
    expect([...cached!.ids]).toEqual(ids.slice(prompts[1]!.length));
  }
});

test.each([
  [{ maxNewTokens: 0 }, "maxNewTokens: 0, expected a positive integer"],
  [{ maxNewTokens: 1, temperature: -1 }, "temperature: -1, expected a number from 0 up"],
  [{ maxNewTokens: 1, topP: Number.NaN }, "topP: NaN, expected a number above 0 and at most 1"],
])("%j is refused", async (options, message) => {
  using device = Device.open(TEST_DEVICE);
  using model = await tinyModel(device);
  await expect(generate(model, prompts, options)).rejects.toThrow(message);
});

test("a signal ends it", async () => {
  using device = Device.open(TEST_DEVICE);
  using model = await tinyModel(device);
  const controller = new AbortController();
  const running = generate(model, prompts, { maxNewTokens: 200, signal: controller.signal });
  setTimeout(() => controller.abort(), 5);
  await expect(running).rejects.toThrow(/^stopped after \d+ of at most \d+ tokens$/);
  const none = generate(model, prompts, { maxNewTokens: 20, signal: AbortSignal.abort() });
  await expect(none).rejects.toThrow(new AbortedError(0, "stopped after 0 of at most 20 tokens"));
});

test("sampling repeats with its seed, stops at stop tokens and at the model's length", async () => {
  using device = Device.open(TEST_DEVICE);
  using model = await tinyModel(device);
  const options = { maxNewTokens: 8, temperature: 1.5, topP: 0.9 };
  const ids = async (seed: number) => (await generate(model, prompts, { ...options, seed })).map((g) => [...g.ids]);
  expect(await ids(1)).toEqual(await ids(1));
  expect(await ids(1)).not.toEqual(await ids(2));
  const twins = await generate(model, [prompts[0]!, prompts[0]!], { maxNewTokens: 12, temperature: 1.5 });
  expect([...twins[0]!.ids]).not.toEqual([...twins[1]!.ids]);

  const [greedy] = await generate(model, [prompts[0]!], { maxNewTokens: 5 });
  const stop = greedy!.ids[2]!;
  const [stopped] = await generate(model, [prompts[0]!], { maxNewTokens: 5, stopTokens: [stop] });
  expect(stopped!.finish).toBe("stop");
  expect([...stopped!.ids]).toEqual([...greedy!.ids].slice(0, [...greedy!.ids].indexOf(stop)));
  expect(greedy!.finish).toBe("length");

  const limit = model.config.maxPositionEmbeddings;
  const [full] = await generate(model, [new Int32Array(limit - 3).fill(5)], { maxNewTokens: 100 });
  expect(full!.ids.length).toBe(3);
  await expect(generate(model, [new Int32Array(limit).fill(5)], { maxNewTokens: 1 })).rejects.toThrow(
    /expected fewer than/,
  );
  expect(await generate(model, [], { maxNewTokens: 1 })).toEqual([]);
  await expect(generate(model, [new Int32Array(0)], { maxNewTokens: 1 })).rejects.toThrow("prompt: 0 tokens");
});
