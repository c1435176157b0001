import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { FileError, ModelError } from "../../lib/base/errors.js";
import { type ModelConfig, parseModelConfig, readModelConfig, toConfigJson } from "../../lib/model/config.js";

const golden = (name: string): string => new URL(`../golden/${name}`, import.meta.url).pathname;
const LLAMA = { architectures: ["LlamaForCausalLM"], model_type: "llama" };
const MISTRAL = { architectures: ["MistralForCausalLM"], model_type: "mistral" };

const folder = mkdtempSync(join(tmpdir(), "westwind-config-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a Llama config.json says the shape of the model", async () => {
  expect(await readModelConfig(golden("tiny-llama-rope"))).toMatchObject({
    architecture: "LlamaForCausalLM",
    hiddenSize: 32,
    intermediateSize: 52,
    numLayers: 2,
    numHeads: 4,
    numKvHeads: 4,
    headSize: 8,
    vocabSize: 97,
    rmsNormEps: 1e-5,
    ropeTheta: 2122,
    ropeScaling: {
      type: "llama3",
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositionEmbeddings: 16,
    },
    maxPositionEmbeddings: 128,
    slidingWindow: null,
    tieWordEmbeddings: true,
    attentionBias: false,
    mlpBias: false,
    initializerRange: 0.02,
    bosTokenId: 1,
    eosTokenId: 2,
    padTokenId: null,
  });
});

test("absent keys take transformers' defaults, which differ between the two", () => {
  expect(parseModelConfig(LLAMA)).toMatchObject({
    hiddenSize: 4096,
    intermediateSize: 11008,
    numLayers: 32,
    numHeads: 32,
    numKvHeads: 32,
    headSize: 128,
    vocabSize: 32000,
    rmsNormEps: 1e-6,
    ropeTheta: 10000,
    ropeScaling: { type: "none" },
    maxPositionEmbeddings: 2048,
    slidingWindow: null,
    tieWordEmbeddings: false,
    attentionBias: false,
    mlpBias: false,
    initializerRange: 0.02,
    bosTokenId: 1,
    eosTokenId: 2,
    padTokenId: null,
  });
  const mistral = { intermediateSize: 14336, numKvHeads: 8, maxPositionEmbeddings: 131072, slidingWindow: 4096 };
  expect(parseModelConfig(MISTRAL)).toMatchObject(mistral);
  const nulls = { ...MISTRAL, sliding_window: null, num_key_value_heads: null, head_dim: null, bos_token_id: null };
  expect(parseModelConfig(nulls)).toMatchObject({
    slidingWindow: null,
    numKvHeads: 32,
    headSize: 128,
    bosTokenId: null,
  });
});

test("either of architectures and model_type is enough, and sliding_window and biases are as the architecture has them", () => {
  expect(parseModelConfig({ model_type: "mistral" }).architecture).toBe("MistralForCausalLM");
  expect(parseModelConfig({ architectures: ["LlamaForCausalLM"] }).architecture).toBe("LlamaForCausalLM");
  expect(parseModelConfig({ ...LLAMA, sliding_window: 16 }).slidingWindow).toBeNull();
  expect(parseModelConfig({ ...MISTRAL, attention_bias: true }).attentionBias).toBe(false);
  expect(parseModelConfig({ ...LLAMA, attention_bias: true, mlp_bias: true })).toMatchObject({
    attentionBias: true,
    mlpBias: true,
  });
});

test("the head size may be given, and several end tokens", () => {
  const nemo = { ...MISTRAL, hidden_size: 5120, head_dim: 128, eos_token_id: [2, 7] };
  expect(parseModelConfig(nemo)).toMatchObject({ headSize: 128, numHeads: 32, eosTokenId: [2, 7] });
  expect(parseModelConfig({ ...MISTRAL, hidden_size: 100, num_attention_heads: 8, head_dim: 16 }).headSize).toBe(16);
});

test("rope settings are read in the old form and in transformers 5's", () => {
  const rope = (keys: object) => {
    const { ropeTheta, ropeScaling } = parseModelConfig({ ...LLAMA, ...keys });
    return { theta: ropeTheta, ...ropeScaling };
  };
  expect(rope({ rope_theta: 5e5, rope_scaling: { type: "linear", factor: 2 } })).toEqual({
    theta: 5e5,
    type: "linear",
    factor: 2,
  });
  expect(rope({ rope_parameters: { rope_type: "dynamic", factor: 4, rope_theta: 1e6 } })).toEqual({
    theta: 1e6,
    type: "dynamic",
    factor: 4,
  });
  expect(rope({ rope_theta: 7, rope_parameters: { rope_type: "default" } })).toEqual({ theta: 7, type: "none" });
  expect(rope({ rope_scaling: {}, rope_parameters: { rope_theta: 9, rope_type: "default" } }).theta).toBe(9);
  expect(
    rope({ rope_scaling: { type: "linear", factor: 3 }, rope_parameters: { rope_type: "dynamic", factor: 4 } }),
  ).toEqual({ theta: 10000, type: "linear", factor: 3 });
  const yarn = { type: "yarn", betaFast: 32, betaSlow: 1, truncate: true };
  expect(
    rope({ rope_scaling: { type: "yarn", factor: 4, original_max_position_embeddings: 512, beta_fast: null } }),
  ).toMatchObject({ ...yarn, factor: 4, originalMaxPositionEmbeddings: 512, attentionFactor: 0.1 * Math.log(4) + 1 });
  expect(rope({ rope_scaling: { type: "yarn", factor: null, original_max_position_embeddings: 512 } })).toMatchObject({
    ...yarn,
    factor: 4,
  });
});

test.each([
  [
    { architectures: ["GPT2LMHeadModel"] },
    'architectures: ["GPT2LMHeadModel"], expected [LlamaForCausalLM or MistralForCausalLM]',
  ],
  [{ architectures: [] }, "architectures: [], expected"],
  [{ architectures: "LlamaForCausalLM" }, 'architectures: "LlamaForCausalLM", expected'],
  [{}, "model_type: absent, expected llama or mistral"],
  [
    { ...LLAMA, model_type: "mistral" },
    'model_type: "mistral", expected llama, as architectures says LlamaForCausalLM',
  ],
  [{ ...LLAMA, hidden_act: "gelu" }, 'hidden_act: "gelu", expected "silu"'],
  [{ ...LLAMA, hidden_size: "4096" }, 'hidden_size: "4096", expected a positive whole number'],
  [{ ...LLAMA, num_hidden_layers: 0 }, "num_hidden_layers: 0, expected a positive whole number"],
  [{ ...LLAMA, vocab_size: 1.5 }, "vocab_size: 1.5, expected a positive whole number"],
  [{ ...LLAMA, rms_norm_eps: 0 }, "rms_norm_eps: 0, expected a number above 0"],
  [{ ...LLAMA, rms_norm_eps: "1e-5" }, 'rms_norm_eps: "1e-5", expected a number above 0'],
  [{ ...LLAMA, tie_word_embeddings: 1 }, "tie_word_embeddings: 1, expected true or false"],
  [{ ...LLAMA, hidden_size: 100 }, "num_attention_heads: absent, expected a divisor of hidden_size, which is 100"],
  [{ ...LLAMA, hidden_size: 100, head_dim: 4 }, "expected a divisor of hidden_size"],
  [
    { ...LLAMA, num_key_value_heads: 5 },
    "num_key_value_heads: 5, expected a divisor of num_attention_heads, which is 32",
  ],
  [{ ...LLAMA, head_dim: 512 }, "head_dim: 512, expected an even number up to 256"],
  [{ ...LLAMA, head_dim: 9 }, "head_dim: 9, expected an even number up to 256"],
  [{ ...LLAMA, num_attention_heads: 8 }, "found 4096 / 8 = 512"],
  [{ ...MISTRAL, sliding_window: 0 }, "sliding_window: 0, expected a positive whole number"],
  [{ ...LLAMA, eos_token_id: [] }, "eos_token_id: [], expected a token id or a list of them"],
  [{ ...LLAMA, eos_token_id: [2, -1] }, "eos_token_id: [2,-1], expected a token id or a list of them"],
  [{ ...LLAMA, bos_token_id: -1 }, "bos_token_id: -1, expected a whole number from 0"],
  [{ ...LLAMA, attention_dropout: 0.1 }, "attention_dropout: 0.1, expected 0: dropout is not implemented"],
  [{ ...LLAMA, quantization_config: { bits: 4 } }, 'quantization_config: {"bits":4}, expected none'],
  [{ ...LLAMA, rope_theta: -1 }, "rope_theta: -1, expected a number above 1"],
  [{ ...LLAMA, rope_scaling: [1] }, "rope_scaling: [1], expected an object"],
  [
    { ...LLAMA, rope_scaling: { type: "su" } },
    'rope_scaling.type: "su", expected one of default, linear, dynamic, llama3, yarn',
  ],
  [{ ...LLAMA, rope_parameters: { rope_type: "longrope" } }, 'rope_parameters.rope_type: "longrope", expected one of'],
  [{ ...LLAMA, rope_scaling: { type: "linear" } }, "rope_scaling.factor: absent, expected a number above 0"],
  [{ ...LLAMA, partial_rotary_factor: 0.5 }, "partial_rotary_factor: 0.5, expected 1"],
  [
    { ...LLAMA, rope_scaling: { rope_type: "llama3", factor: 8, low_freq_factor: 4, high_freq_factor: 1 } },
    "rope_scaling.high_freq_factor: 1, expected more than low_freq_factor, which is 4",
  ],
  [null, "expected a JSON object"],
  [[], "expected a JSON object"],
] as const)("%j is refused: %s", (raw, message) => {
  const parse = () => parseModelConfig(raw, "folder/config.json");
  expect(parse).toThrow(ModelError);
  expect(parse).toThrow("folder/config.json: ");
  expect(parse).toThrow(message);
});

test("a missing config.json and one that is not JSON are errors that name it", async () => {
  const path = join(folder, "config.json");
  rmSync(path, { force: true });
  await expect(readModelConfig(folder)).rejects.toThrow(FileError);
  await expect(readModelConfig(folder)).rejects.toThrow(`${path}: no such file`);
  writeFileSync(path, '{"hidden_size": ');
  await expect(readModelConfig(folder)).rejects.toThrow(ModelError);
  await expect(readModelConfig(folder)).rejects.toThrow(`${path}: not JSON`);
});

const known = ({ raw: _, ...rest }: ModelConfig) => rest;

test.each(["tiny-llama", "tiny-llama-bias", "tiny-llama-rope", "tiny-mistral"])(
  "%s: a written config reads back",
  (name) => {
    const raw = JSON.parse(readFileSync(join(golden(name), "config.json"), "utf8"));
    const config = parseModelConfig(raw);
    const written = JSON.parse(toConfigJson(config, "bfloat16"));
    expect(known(parseModelConfig(written))).toEqual(known(config));
    expect(written).toMatchObject({ ...raw, ["dtype" in raw ? "dtype" : "torch_dtype"]: "bfloat16" });
  },
);

test("writing keeps unknown keys, the form of the rope settings, and floats as floats", () => {
  const parameters = { rope_type: "yarn", rope_theta: 1e6, factor: 4, original_max_position_embeddings: 512, extra: 1 };
  const config = parseModelConfig({ ...MISTRAL, dtype: "float16", custom: { a: [1] }, rope_parameters: parameters });
  const text = toConfigJson({ ...config, vocabSize: 33000, eosTokenId: [2, 5] }, "float32");
  const written = JSON.parse(text);
  expect(written).toMatchObject({ dtype: "float32", custom: { a: [1] }, vocab_size: 33000, eos_token_id: [2, 5] });
  expect(written.rope_parameters).toMatchObject(parameters);
  expect(written).not.toHaveProperty("torch_dtype");
  expect(written).not.toHaveProperty("rope_scaling");
  expect(written).not.toHaveProperty("attention_bias");
  expect(text).toContain('"rope_theta": 1000000.0');
  expect(text).toContain('"factor": 4.0');
  expect(text).toContain('"vocab_size": 33000,');
});

test("a config changed after it was read is written as changed", () => {
  const raw = { ...LLAMA, rope_theta: 500, rope_scaling: { type: "linear", factor: 2 } };
  const changed = {
    ...parseModelConfig(raw),
    ropeTheta: 1000,
    ropeScaling: { type: "dynamic", factor: 8 } as const,
    tieWordEmbeddings: true,
    padTokenId: 0,
  };
  expect(known(parseModelConfig(JSON.parse(toConfigJson(changed, "float32"))))).toEqual(known(changed));
  const plain = { ...changed, ropeScaling: { type: "none" } as const };
  expect(known(parseModelConfig(JSON.parse(toConfigJson(plain, "float32"))))).toEqual(known(plain));
});
