import { expect, test } from "vitest";

import { readModelConfig } from "../../lib/model/config.js";
import { decode } from "../../lib/model/decode.js";
import { KvCache } from "../../lib/model/kv_cache.js";
import { Llama } from "../../lib/model/llama.js";
import { Arena, totalBytes } from "../../lib/tensor/arena.js";
import { Device } from "../../lib/tensor/device.js";

test("a step of twelve layers needs no more memory than one of three layers", async () => {
  using device = Device.plan();
  const shallow = await readModelConfig("test/golden/tiny-llama");
  const peak = (numLayers: number): number => {
    const config = { ...shallow, numLayers };
    using model = new Llama(device, config, { dtype: "f32", trainable: false });
    using cache = new KvCache(device, config, { pages: 4, pageSize: 16, dtype: "f32" });
    using arena = new Arena(device);
    const positions = Int32Array.from({ length: 64 }, (_, i) => i);
    const places = { positions, sequences: new Int32Array(64), pages: Int32Array.of(0, 1, 2, 3), numSequences: 1 };
    decode(model, arena, cache, { tokens: new Int32Array(64), ...places, rows: Int32Array.of(63) });
    return totalBytes(arena.peak);
  };
  expect(peak(12)).toBe(peak(3));
  expect(peak(3)).toBeGreaterThan(64 * shallow.hiddenSize * 4);
});
