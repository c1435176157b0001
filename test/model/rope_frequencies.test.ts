import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseModelConfig } from "../../lib/model/config.js";
import { inverseFrequencies } from "../../lib/model/rope_frequencies.js";

interface Golden {
  readonly name: string;
  readonly config: Record<string, unknown>;
  readonly positions: number | null;
  readonly inverse_frequencies: number[];
  readonly attention_scaling: number;
}
const goldens: Golden[] = JSON.parse(readFileSync(new URL("../golden/rope_frequencies.json", import.meta.url), "utf8"));

/** How many f32 values lie between two positive ones. */
function ulpDistance(a: number, b: number): number {
  const bits = new Int32Array(new Float32Array([a, b]).buffer);
  return Math.abs(bits[0]! - bits[1]!);
}

test.each(goldens.map((golden) => [golden.name, golden] as const))("%s", (_, golden) => {
  const config = parseModelConfig(golden.config);
  const found = inverseFrequencies(config, golden.positions ?? undefined);
  expect(found.attentionScaling).toBeCloseTo(golden.attention_scaling, 12);
  expect(found.inverseFrequencies.length).toBe(config.headSize / 2);
  expect(golden.inverse_frequencies.length).toBe(config.headSize / 2);
  const isBeyond = golden.positions !== null && golden.positions > config.maxPositionEmbeddings;
  const worst = Math.max(...golden.inverse_frequencies.map((f, i) => ulpDistance(f, found.inverseFrequencies[i]!)));
  expect(worst).toBeLessThanOrEqual(isBeyond ? 4 : 2);
});

test("dynamic frequencies are the plain ones up to the trained length", () => {
  const plain = { hidden_size: 64, num_attention_heads: 4, max_position_embeddings: 512, model_type: "llama" };
  const dynamic = parseModelConfig({ ...plain, rope_scaling: { type: "dynamic", factor: 2 } });
  const expected = inverseFrequencies(parseModelConfig(plain));
  expect(inverseFrequencies(dynamic)).toEqual(expected);
  expect(inverseFrequencies(dynamic, 512)).toEqual(expected);
  expect(inverseFrequencies(dynamic, 513)).not.toEqual(expected);
});

test("a head of two dimensions has one frequency, 1, under every scaling", () => {
  for (const rope_scaling of [null, { type: "linear", factor: 1 }, { type: "dynamic", factor: 2 }]) {
    const raw = { hidden_size: 8, num_attention_heads: 4, max_position_embeddings: 16, model_type: "llama" };
    const config = parseModelConfig({ ...raw, rope_scaling });
    expect([...inverseFrequencies(config, 100).inverseFrequencies]).toEqual([1]);
  }
});
