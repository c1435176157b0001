import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ModelError } from "../../lib/base/errors.js";
import { resolveWeights } from "../../lib/checkpoint/resolve_weights.js";
import type { StoredDtype } from "../../lib/checkpoint/safetensors.js";
import { type TensorEntry, tensorBytes } from "../../lib/checkpoint/safetensors_write.js";
import { locateWeights, writeWeights } from "../../lib/checkpoint/weights_index.js";
import { type ModelConfig, parseModelConfig, readModelConfig } from "../../lib/model/config.js";
import { modelParameters } from "../../lib/model/parameter_specs.js";

const golden = (name: string): string => new URL(`../golden/${name}`, import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "westwind-names-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SMALL = {
  ...{ model_type: "llama", hidden_size: 8, intermediate_size: 12, num_hidden_layers: 2, num_attention_heads: 2 },
  ...{ num_key_value_heads: 1, vocab_size: 5, max_position_embeddings: 16 },
};
const untied = parseModelConfig(SMALL);
const tied = parseModelConfig({ ...SMALL, tie_word_embeddings: true });

test("parameters that decay come first, with fused groups adjacent", () => {
  const config = parseModelConfig({
    ...SMALL,
    num_hidden_layers: 1,
    attention_bias: true,
    mlp_bias: true,
    head_dim: 6,
  });
  const layer = "model.layers.0";
  expect(modelParameters(config).map(({ name, shape, decay }) => [name, shape.join(), decay])).toEqual([
    ["model.embed_tokens.weight", "5,8", true],
    [`${layer}.self_attn.q_proj.weight`, "12,8", true],
    [`${layer}.self_attn.k_proj.weight`, "6,8", true],
    [`${layer}.self_attn.v_proj.weight`, "6,8", true],
    [`${layer}.self_attn.o_proj.weight`, "8,12", true],
    [`${layer}.mlp.gate_proj.weight`, "12,8", true],
    [`${layer}.mlp.up_proj.weight`, "12,8", true],
    [`${layer}.mlp.down_proj.weight`, "8,12", true],
    ["lm_head.weight", "5,8", true],
    [`${layer}.input_layernorm.weight`, "8", false],
    [`${layer}.self_attn.q_proj.bias`, "12", false],
    [`${layer}.self_attn.k_proj.bias`, "6", false],
    [`${layer}.self_attn.v_proj.bias`, "6", false],
    [`${layer}.self_attn.o_proj.bias`, "8", false],
    [`${layer}.post_attention_layernorm.weight`, "8", false],
    [`${layer}.mlp.gate_proj.bias`, "12", false],
    [`${layer}.mlp.up_proj.bias`, "12", false],
    [`${layer}.mlp.down_proj.bias`, "8", false],
    ["model.norm.weight", "8", false],
  ]);
});

test("tied embeddings have no head", () => {
  expect(modelParameters(tied).map(({ name }) => name)).not.toContain("lm_head.weight");
  expect(modelParameters(tied).length).toBe(modelParameters(untied).length - 1);
});

test.each(["tiny-llama", "tiny-llama-bias", "tiny-llama-rope", "tiny-mistral"])(
  "%s, saved by transformers, has exactly these parameters",
  async (name) => {
    const config = await readModelConfig(golden(name));
    const resolved = await resolveWeights(config, await locateWeights(golden(name)), name);
    expect([...resolved.keys()]).toEqual(modelParameters(config).map((parameter) => parameter.name));
    for (const { name, shape } of modelParameters(config)) expect(resolved.get(name)!.shape).toEqual(shape);
  },
);

/** Writes the tensors of `config`, changed by `change`, and matches them to `config`. */
async function resolve(config: ModelConfig, change: (entries: Map<string, TensorEntry>) => void) {
  const entries = new Map(modelParameters(config).map(({ name, shape }) => [name, entry(name, shape)]));
  change(entries);
  await writeWeights(folder, [...entries.values()]);
  return resolveWeights(config, await locateWeights(folder), "model");
}

function entry(name: string, shape: readonly number[], fill = 1, dtype: StoredDtype = "F32"): TensorEntry {
  return { name, dtype, shape, data: async () => new Uint8Array(tensorBytes({ dtype, shape })).fill(fill) };
}

test("a tied matrix may be stored as the head alone, as the embedding alone, or twice", async () => {
  const asHead = await resolve(tied, (entries) => {
    entries.delete("model.embed_tokens.weight");
    entries.set("lm_head.weight", entry("lm_head.weight", [5, 8]));
  });
  expect(asHead.get("model.embed_tokens.weight")).toMatchObject({ shape: [5, 8] });
  expect(asHead.has("lm_head.weight")).toBe(false);
  await resolve(tied, () => undefined);
  await resolve(tied, (entries) => entries.set("lm_head.weight", entry("lm_head.weight", [5, 8])));
});

test.each([
  ["other bytes", entry("lm_head.weight", [5, 8], 2)],
  ["another dtype", entry("lm_head.weight", [5, 8], 1, "BF16")],
  ["another shape", entry("lm_head.weight", [4, 8])],
])("a tied matrix stored twice with %s is refused", async (_, head) => {
  const failure = await resolve(tied, (entries) => entries.set("lm_head.weight", head)).catch((error) => error);
  expect(failure).toBeInstanceOf(ModelError);
  expect(failure.message).toContain("model: model.embed_tokens.weight and lm_head.weight differ");
});

test("untied matrices may differ", async () => {
  const resolved = await resolve(untied, (entries) =>
    entries.set("lm_head.weight", entry("lm_head.weight", [5, 8], 9)),
  );
  expect(resolved.get("lm_head.weight")!.begin).not.toBe(resolved.get("model.embed_tokens.weight")!.begin);
});

test("rotary buffers of old checkpoints are passed over, half precision is taken", async () => {
  const resolved = await resolve(untied, (entries) => {
    for (const name of ["model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"]) {
      entries.set(name, entry(name, [2]));
    }
    entries.set("model.norm.weight", entry("model.norm.weight", [8], 0, "BF16"));
  });
  expect(resolved.size).toBe(modelParameters(untied).length);
  expect(resolved.get("model.norm.weight")!.dtype).toBe("BF16");
});

test("what is missing, unexpected or unusable is listed, five of each", async () => {
  const failure = await resolve(untied, (entries) => {
    for (const name of entries.keys()) if (name.startsWith("model.layers.1.")) entries.delete(name);
    entries.set("model.norm.weight", entry("model.norm.weight", [9]));
    entries.set("lm_head.weight", entry("lm_head.weight", [5, 8], 0, "I32"));
    entries.set("model.layers.0.self_attn.q_proj.bias", entry("model.layers.0.self_attn.q_proj.bias", [8]));
  }).catch((error) => error);
  expect(failure).toBeInstanceOf(ModelError);
  expect(failure.message).toBe(
    "model: the weights are not those of config.json: missing model.layers.1.self_attn.q_proj.weight, " +
      "model.layers.1.self_attn.k_proj.weight, model.layers.1.self_attn.v_proj.weight, " +
      "model.layers.1.self_attn.o_proj.weight, model.layers.1.mlp.gate_proj.weight and 4 more; " +
      "lm_head.weight is I32, expected F32, BF16 or F16, model.norm.weight is [9], expected [8]; " +
      "unexpected model.layers.0.self_attn.q_proj.bias",
  );
});

test("a head missing from an untied model names the likely cure", async () => {
  await expect(resolve(untied, (entries) => entries.delete("lm_head.weight"))).rejects.toThrow(
    "missing lm_head.weight; if it is the embedding, set tie_word_embeddings to true in config.json",
  );
});
