import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { loadModel } from "../../lib/checkpoint/load_model.js";
import { readSafetensorsHeader } from "../../lib/checkpoint/safetensors.js";
import { linear } from "../../lib/kernels/linear.js";
import { type PackedTokens, uploadInput } from "../../lib/model/input.js";
import type { Llama } from "../../lib/model/llama.js";
import { Arena } from "../../lib/tensor/arena.js";
import { Device } from "../../lib/tensor/device.js";

// Models of two layers and their logits, computed by transformers in float64 (make_tiny_model.py): grouped-query
// attention, biases, llama3 rope scaling, and Mistral's sliding window, which is shorter than the sequences.
const FOLDERS = ["tiny-llama", "tiny-llama-bias", "tiny-llama-rope", "tiny-mistral"];

async function readTensors(path: string): Promise<Map<string, Float32Array>> {
  const { tensors } = await readSafetensorsHeader(path);
  const bytes = readFileSync(path);
  return new Map(
    [...tensors].map(([name, { begin, end }]) => [
      name,
      new Float32Array(Uint8Array.from(bytes.subarray(begin, end)).buffer),
    ]),
  );
}

/** Whole documents one behind the other. */
function pack(sequences: readonly (readonly number[])[]): PackedTokens {
  const starts = sequences.map((_, s) => sequences.slice(0, s).reduce((n, ids) => n + ids.length, 0));
  const perToken = (value: (s: number, i: number) => number) =>
    Int32Array.from(sequences.flatMap((ids, s) => ids.map((_, i) => value(s, i))));
  return {
    tokens: perToken((s, i) => sequences[s]![i]!),
    positions: perToken((_, i) => i),
    sequenceStart: perToken((s) => starts[s]!),
    visibleUntil: perToken((s) => starts[s]! + sequences[s]!.length),
  };
}

async function logits(model: Llama, packed: PackedTokens): Promise<Float32Array> {
  using arena = new Arena(model.device);
  const { hidden } = model.forward(arena, uploadInput(arena, packed));
  return linear(arena, hidden, model.head.value).readFloats();
}

describe.each(FOLDERS)("%s", (name) => {
  const folder = `test/golden/${name}`;
  const golden = JSON.parse(readFileSync(`${folder}/golden.json`, "utf8")) as {
    sequences: number[][];
    tolerance: { logits: number };
  };

  test("packed logits are those of transformers for each sequence alone", async () => {
    using device = Device.cpu();
    using model = await loadModel(device, folder, { dtype: "f32", trainable: false });
    const actual = await logits(model, pack(golden.sequences));
    const expected = await readTensors(`${folder}/golden.safetensors`);
    const all = golden.sequences.flatMap((_, s) => [...expected.get(`logits.${s}`)!]);
    expect(actual.length).toBe(all.length);
    const worst = all.reduce((max, value, i) => Math.max(max, Math.abs(value - actual[i]!)), 0);
    expect(worst).toBeLessThan(golden.tolerance.logits);
  });

  test("bf16 weights and activations stay close", async () => {
    using device = Device.cpu();
    using model = await loadModel(device, folder, { dtype: "bf16", trainable: false });
    const actual = await logits(model, pack(golden.sequences));
    const expected = await readTensors(`${folder}/golden.safetensors`);
    const all = golden.sequences.flatMap((_, s) => [...expected.get(`logits.${s}`)!]);
    const scale = Math.max(...all.map(Math.abs));
    const mean = all.reduce((sum, value, i) => sum + Math.abs(value - actual[i]!), 0) / all.length;
    expect(mean / scale).toBeLessThan(0.01);
  });
});
