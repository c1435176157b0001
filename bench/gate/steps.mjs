// steps.mjs sft|dpo f32|bf16: an optimiser step of a tiny model on one thread, its weights and rows always the same.
// main.mjs runs it under callgrind.
import { Random } from "../../dist/base/random.js";
import { parseModelConfig } from "../../dist/model/config.js";
import { initialise } from "../../dist/model/init.js";
import { Llama } from "../../dist/model/llama.js";
import { AdamW } from "../../dist/optim/adamw.js";
import { Device } from "../../dist/tensor/device.js";
import { DpoTask } from "../../dist/train/dpo.js";
import { SftTask } from "../../dist/train/sft.js";
import { trainStep } from "../../dist/train/step.js";

const [kind, dtype] = process.argv.slice(2);
const VOCABULARY = 300;
const config = parseModelConfig({
  model_type: "llama",
  hidden_size: 96,
  intermediate_size: 192,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: VOCABULARY,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
});
const random = new Random(1);
const place = { source: "gate", index: 0 };
const ids = (length) => Int32Array.from({ length }, () => random.below(VOCABULARY));
const LENGTHS = [40, 95];
const pair = (length) => ({
  ...{ prompt: ids(length), chosen: ids(length >> 1), rejected: ids((length >> 1) + 7) },
  ...{ refChosen: -100, refRejected: -110, place },
});
const sequence = (length) => ({ ids: ids(length), trainable: new Uint8Array(length).fill(1), place });
const rows = LENGTHS.map(kind === "dpo" ? pair : sequence);

const device = Device.open("cpu", { threads: 1, isa: "avx2" });
const model = new Llama(device, config, { dtype, master: true, trainable: true });
initialise(model);
const optimizer = new AdamW(model.parameters, { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 });
const options = { tokenBudget: 1024, beta: 0.1, labelSmoothing: 0 };
const task = kind === "dpo" ? new DpoTask(model, options) : new SftTask(model, options);
await trainStep({ task, optimizer, maxGradNorm: 1 }, 1, 1e-4, [rows]);
await device.sync();
for (const owner of [task, optimizer, model, device]) owner[Symbol.dispose]();
