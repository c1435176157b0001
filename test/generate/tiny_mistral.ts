import { afterAll } from "vitest";

import { loadModel } from "../../lib/checkpoint/load_model.js";
import { Device } from "../../lib/tensor/device.js";
import { TEST_DEVICE } from "../test_device.js";

// The model that the tests of the engine share, for as long as those of a file run.

export const device = Device.open(TEST_DEVICE);
export const model = await loadModel(device, "test/golden/tiny-mistral", { dtype: "f32", trainable: false });
afterAll(() => {
  model[Symbol.dispose]();
  device[Symbol.dispose]();
});

/** A letter a token. */
export const bytesOf = (id: number): Uint8Array => Buffer.from(String.fromCharCode(97 + (id % 26)));
