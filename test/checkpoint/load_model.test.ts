import { expect, test } from "vitest";

import { loadModel } from "../../lib/checkpoint/load_model.js";
import { Device } from "../../lib/tensor/device.js";
import { joinMaster } from "../reference/adamw.js";
import { TEST_DEVICE } from "../test_device.js";

test("a model to be trained in bf16 starts from every bit of an f32 checkpoint", async () => {
  using device = Device.open(TEST_DEVICE);
  const load = (dtype: "f32" | "bf16", trainable: boolean) =>
    loadModel(device, "test/golden/tiny-llama", { dtype, trainable });
  using whole = await load("f32", false);
  using split = await load("bf16", true);
  const [weights, low] = [await split.parameters.weights.readFloats(), await split.parameters.low.read()];
  const master = [...weights].map((weight, i) => joinMaster(weight, low[i]!));
  expect(master).toEqual([...(await whole.parameters.weights.readFloats())]);
  expect(low.some((bits) => bits !== 0)).toBe(true);
});

test("a model that only runs forward has no master", async () => {
  using device = Device.open(TEST_DEVICE);
  using model = await loadModel(device, "test/golden/tiny-llama", { dtype: "bf16", trainable: false });
  expect(model.parameters.low.size).toBe(0);
});
