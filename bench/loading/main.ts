// npm run bench:loading [-- --threads=N --record]: the time until a model of 1 GiB in the system's file cache is ready, to
// be run or to be trained.
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { loadModel } from "../../lib/checkpoint/load_model.js";
import { saveModel } from "../../lib/checkpoint/save_model.js";
import { textTable } from "../../lib/index.js";
import { parseModelConfig } from "../../lib/model/config.js";
import { Llama } from "../../lib/model/llama.js";
import { openDevice, Rows, resultsFile } from "../common.js";
import { median } from "../median.js";
import { drawWeights } from "../noise.js";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: "0" },
    record: { type: "boolean", default: false },
  },
});
const REPEATS = 5;
const CONFIG = parseModelConfig({
  model_type: "llama",
  hidden_size: 1536,
  intermediate_size: 4096,
  num_hidden_layers: 20,
  num_attention_heads: 24,
  num_key_value_heads: 8,
  vocab_size: 32064,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
});

using device = openDevice("cpu", { threads: Number(values.threads) });
const out = new Rows(device, values.record ? resultsFile(device) : undefined);
const folder = await mkdtemp(join(tmpdir(), "bench-loading-"));
try {
  {
    using model = new Llama(device, CONFIG, { dtype: "bf16", trainable: false });
    drawWeights(model);
    await saveModel(model, folder);
  }
  const { size: bytes } = await stat(join(folder, "model.safetensors"));
  const cells: string[][] = [];
  for (const dtype of ["bf16", "f32"] as const) {
    for (const trainable of [false, true]) {
      const times: number[] = [];
      for (let i = 0; i <= REPEATS; i++) {
        const started = performance.now();
        using _ = await loadModel(device, folder, { dtype, trainable });
        await device.sync();
        times.push((performance.now() - started) / 1000);
      }
      const seconds = median(times.slice(1));
      out.write({ bench: "loading", bytes, dtype, trainable, seconds });
      cells.push([dtype, trainable ? "to train" : "to run", (bytes / 2 ** 30).toFixed(2), seconds.toFixed(3)]);
    }
  }
  console.log(`${device.description}\n${textTable(["dtype", "use", "GiB", "s"], cells)}`);
} finally {
  await rm(folder, { recursive: true });
}
