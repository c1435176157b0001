import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { Random } from "../../lib/base/random.js";
import { saveModel } from "../../lib/checkpoint/save_model.js";
import { readModelConfig } from "../../lib/model/config.js";
import { initialise } from "../../lib/model/init.js";
import { Llama } from "../../lib/model/llama.js";
import { Device } from "../../lib/tensor/device.js";

const ASSETS = "assets/quickstart";
const CONFIG = {
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  initializer_range: 0.1,
};

/** Makes the folder of a tiny model with the quickstart's tokenizer, of 1024 tokens. */
export async function makeModel(folder: string, config: Readonly<Record<string, unknown>> = {}): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const base = JSON.parse(readFileSync(join(ASSETS, "config.json"), "utf8"));
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...base, ...CONFIG, ...config }));
  using device = Device.cpu({ threads: 1 });
  using model = new Llama(device, await readModelConfig(folder), { dtype: "f32", trainable: false });
  initialise(model, 1);
  await saveModel(model, folder);
  for (const name of readdirSync(ASSETS).filter((name) => /^(?:tokenizer|special)/.test(name))) {
    cpSync(join(ASSETS, name), join(folder, name));
  }
  return folder;
}

const WORDS = "the old miller sees a small goat near river and says good day to his friend while rain falls".split(" ");

/** Some words, by the seed. */
export function sentence(random: Random, words: number): string {
  return Array.from({ length: words }, () => WORDS[random.below(WORDS.length)]).join(" ");
}

export function chatRows(count: number): { messages: { role: string; content: string }[] }[] {
  const random = new Random(5);
  return Array.from({ length: count }, () => ({
    messages: [
      { role: "user", content: sentence(random, 3 + random.below(5)) },
      { role: "assistant", content: sentence(random, 4 + random.below(12)) },
    ],
  }));
}

export function pairRows(count: number): { prompt: string; chosen: object[]; rejected: object[] }[] {
  const random = new Random(6);
  return Array.from({ length: count }, () => {
    const prompt = sentence(random, 3 + random.below(5));
    const chat = (content: string) => [
      { role: "user", content: prompt },
      { role: "assistant", content },
    ];
    const chosen = chat(sentence(random, 4 + random.below(8)));
    return { prompt, chosen, rejected: chat(sentence(random, 4 + random.below(12))) };
  });
}

export function writeJsonLines(path: string, rows: readonly unknown[]): string {
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}
