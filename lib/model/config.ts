import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FileError, ModelError } from "../base/errors.js";
import { Fields, type JsonObject } from "./config_fields.js";
import { type RopeScaling, readRope, ropeEntries } from "./rope_scaling.js";

export type { RopeScaling } from "./rope_scaling.js";

const MODEL_TYPES = { LlamaForCausalLM: "llama", MistralForCausalLM: "mistral" } as const;
export type Architecture = keyof typeof MODEL_TYPES;

/** The shape of a model, from its config.json. `raw` is that file as it was, so that saving loses nothing. */
export interface ModelConfig {
  readonly architecture: Architecture;
  readonly hiddenSize: number; // C
  readonly intermediateSize: number; // F
  readonly numLayers: number; // L
  readonly numHeads: number; // H
  readonly numKvHeads: number; // K, divides H
  readonly headSize: number; // D, even, at most 256; H * D need not be C
  readonly vocabSize: number; // V
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  readonly maxPositionEmbeddings: number;
  /** How many tokens back a token may look, itself included; null is all of them. */
  readonly slidingWindow: number | null;
  readonly tieWordEmbeddings: boolean;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  readonly initializerRange: number;
  readonly bosTokenId: number | null;
  readonly eosTokenId: number | readonly number[] | null;
  readonly padTokenId: number | null;
  readonly raw: JsonObject;
}

/** Reads `folder`/config.json. Throws FileError when it is not there, ModelError when it cannot be used. */
export async function readModelConfig(folder: string): Promise<ModelConfig> {
  const path = join(folder, "config.json");
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const what = code === "ENOENT" ? "no such file, expected a folder in Hugging Face's layout" : message;
    throw new FileError(path, what, { cause });
  }
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw new ModelError(path, `not JSON: ${(cause as Error).message}`);
  }
  return parseModelConfig(raw, path);
}

/**
 * The config of a LlamaForCausalLM or MistralForCausalLM, as transformers 4 or 5 writes it; keys that are absent take
 * transformers' defaults. `place` begins every error. Throws ModelError for what this package cannot compute.
 */
export function parseModelConfig(raw: unknown, place = "config.json"): ModelConfig {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    throw new ModelError(place, "expected a JSON object");
  }
  const object = raw as JsonObject;
  const fields = new Fields(place, object);
  const architecture = readArchitecture(fields);
  const isMistral = architecture === "MistralForCausalLM";
  refuseUnsupported(fields);

  const hiddenSize = fields.integer("hidden_size", 4096);
  const numHeads = fields.integer("num_attention_heads", 32);
  const numKvHeads = fields.integer(
    "num_key_value_heads",
    isMistral && !("num_key_value_heads" in object) ? 8 : numHeads,
  );
  if (numHeads % numKvHeads !== 0) {
    fields.refuse("num_key_value_heads", `a divisor of num_attention_heads, which is ${numHeads}`);
  }
  const maxPositionEmbeddings = fields.integer("max_position_embeddings", isMistral ? 131_072 : 2048);
  const rope = readRope(place, object, maxPositionEmbeddings);
  const vocabSize = fields.integer("vocab_size", 32_000);
  const tokenId = (key: string, fallback: number | null): number | null =>
    key in object ? (fields.has(key) ? fields.integer(key, undefined, 0) : null) : fallback;

  return {
    architecture,
    hiddenSize,
    intermediateSize: fields.integer("intermediate_size", isMistral ? 14_336 : 11_008),
    numLayers: fields.integer("num_hidden_layers", 32),
    numHeads,
    numKvHeads,
    headSize: readHeadSize(fields, { hiddenSize, numHeads, mustDivide: !isMistral }),
    vocabSize,
    rmsNormEps: fields.number("rms_norm_eps", 1e-6, { above: 0 }),
    ropeTheta: rope.theta,
    ropeScaling: rope.scaling,
    maxPositionEmbeddings,
    slidingWindow: isMistral ? readSlidingWindow(fields, object) : null,
    tieWordEmbeddings: fields.boolean("tie_word_embeddings", false),
    attentionBias: !isMistral && fields.boolean("attention_bias", false),
    mlpBias: !isMistral && fields.boolean("mlp_bias", false),
    initializerRange: fields.number("initializer_range", 0.02, { least: 0 }),
    bosTokenId: tokenId("bos_token_id", 1),
    eosTokenId: Array.isArray(object.eos_token_id) ? readIds(fields, "eos_token_id") : tokenId("eos_token_id", 2),
    padTokenId: tokenId("pad_token_id", null),
    raw: object,
  };
}

function readArchitecture(fields: Fields): Architecture {
  const supported = Object.keys(MODEL_TYPES) as Architecture[];
  const expected = supported.join(" or ");
  let architecture: Architecture | undefined;
  if (fields.has("architectures")) {
    const named = fields.value("architectures");
    architecture = supported.find((name) => Array.isArray(named) && named.length === 1 && named[0] === name);
    if (architecture === undefined) fields.refuse("architectures", `[${expected}]`);
  }
  if (architecture === undefined || fields.has("model_type")) {
    const named = fields.value("model_type");
    const ofType = supported.find((name) => MODEL_TYPES[name] === named);
    if (ofType === undefined) fields.refuse("model_type", "llama or mistral");
    if (architecture !== undefined && ofType !== architecture) {
      fields.refuse("model_type", `${MODEL_TYPES[architecture]}, as architectures says ${architecture}`);
    }
    architecture = ofType;
  }
  return architecture;
}

function refuseUnsupported(fields: Fields): void {
  if (fields.string("hidden_act", "silu") !== "silu") fields.refuse("hidden_act", '"silu"');
  if (fields.number("attention_dropout", 0, { least: 0 }) !== 0) {
    fields.refuse("attention_dropout", "0: dropout is not implemented; set it to 0 to go on without");
  }
  if (fields.has("quantization_config")) {
    fields.refuse("quantization_config", "none: quantised weights cannot be read; use the full-precision checkpoint");
  }
}

/** transformers wants C to be a multiple of H for Llama even when head_dim is given, so that such a model is refused. */
function readHeadSize(fields: Fields, of: { hiddenSize: number; numHeads: number; mustDivide: boolean }): number {
  const isGiven = fields.has("head_dim");
  if (of.hiddenSize % of.numHeads !== 0 && (of.mustDivide || !isGiven)) {
    fields.refuse("num_attention_heads", `a divisor of hidden_size, which is ${of.hiddenSize}`);
  }
  const headSize = fields.integer("head_dim", of.hiddenSize / of.numHeads);
  if (headSize % 2 !== 0 || headSize > 256) {
    if (isGiven) fields.refuse("head_dim", "an even number up to 256");
    const found = `${of.hiddenSize} / ${of.numHeads} = ${headSize}`;
    fields.refuse(
      "num_attention_heads",
      `a head size (hidden_size / num_attention_heads) that is even and up to 256, found ${found}`,
    );
  }
  return headSize;
}

function readSlidingWindow(fields: Fields, object: JsonObject): number | null {
  if (fields.has("sliding_window")) return fields.integer("sliding_window");
  return "sliding_window" in object ? null : 4096;
}

function readIds(fields: Fields, key: string): number[] {
  const ids = fields.value(key) as unknown[];
  const isOk = ids.length > 0 && ids.every((id) => Number.isSafeInteger(id) && (id as number) >= 0);
  if (!isOk) fields.refuse(key, "a token id or a list of them");
  return ids as number[];
}

// Python keeps 1 and 1.0 apart, and transformers checks some of these to be floats; JavaScript does not.
const FLOATS = [
  ...["rope_theta", "rms_norm_eps", "initializer_range", "attention_dropout", "factor", "attention_factor"],
  ...["low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim"],
].join("|");

/**
 * The text of a config.json that transformers loads: `config.raw` with every key this package knows set to what
 * `config` says, in the form (rope_scaling or rope_parameters, torch_dtype or dtype) that `raw` used.
 */
export function toConfigJson(config: ModelConfig, dtype: "float32" | "bfloat16"): string {
  const { raw } = config;
  const isMistral = config.architecture === "MistralForCausalLM";
  const entries: Record<string, unknown> = {
    ...raw,
    architectures: [config.architecture],
    model_type: MODEL_TYPES[config.architecture],
    hidden_act: "silu",
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.numKvHeads,
    head_dim: config.headSize,
    vocab_size: config.vocabSize,
    rms_norm_eps: config.rmsNormEps,
    max_position_embeddings: config.maxPositionEmbeddings,
    tie_word_embeddings: config.tieWordEmbeddings,
    initializer_range: config.initializerRange,
    bos_token_id: config.bosTokenId,
    eos_token_id: config.eosTokenId,
    pad_token_id: config.padTokenId,
    ...(isMistral
      ? { sliding_window: config.slidingWindow }
      : { attention_bias: config.attentionBias, mlp_bias: config.mlpBias }),
    ...ropeEntries({ theta: config.ropeTheta, scaling: config.ropeScaling }, raw),
    ...(raw.dtype === undefined ? { torch_dtype: dtype } : { dtype }),
    ...(raw.torch_dtype === undefined ? {} : { torch_dtype: dtype }),
  };
  const text = JSON.stringify(entries, null, 2);
  return `${text.replace(new RegExp(`^( *"(?:${FLOATS})": -?\\d+)(,?)$`, "gm"), "$1.0$2")}\n`;
}
