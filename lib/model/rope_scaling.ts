import { Fields, type JsonObject } from "./config_fields.js";

/** How rotary frequencies are stretched beyond the length a model was trained on. Formulas in rope_frequencies.ts. */
export type RopeScaling =
  | { readonly type: "none" }
  | { readonly type: "linear"; readonly factor: number }
  | { readonly type: "dynamic"; readonly factor: number }
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositionEmbeddings: number;
    }
  | {
      readonly type: "yarn";
      readonly factor: number;
      readonly originalMaxPositionEmbeddings: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      /** Multiplies cos and sin. */
      readonly attentionFactor: number;
      /** Whether the bounds of the ramp are rounded outwards to whole dimensions. */
      readonly truncate: boolean;
    };

export interface Rope {
  readonly theta: number;
  readonly scaling: RopeScaling;
}

const DEFAULT_THETA = 10_000;

/**
 * Reads a config's rotary settings in either form: `rope_theta` beside `rope_scaling {type | rope_type, ...}`, or
 * transformers 5's `rope_parameters {rope_type, rope_theta, ...}`. As there, a `rope_scaling` that is not empty wins
 * over `rope_parameters`, and a theta inside it over one beside it.
 */
export function readRope(place: string, raw: JsonObject, maxPositionEmbeddings: number): Rope {
  const config = new Fields(place, raw);
  const key = config.nested("rope_scaling") === undefined ? "rope_parameters" : "rope_scaling";
  const parameters = config.nested(key) ?? {};
  const fields = new Fields(place, parameters, `${key}.`);

  const theta = fields.number("rope_theta", config.number("rope_theta", DEFAULT_THETA, { above: 1 }), { above: 1 });
  for (const source of [config, fields]) {
    if (source.has("partial_rotary_factor") && source.value("partial_rotary_factor") !== 1) {
      source.refuse("partial_rotary_factor", "1: rotating a part of each head is not implemented");
    }
  }
  const typeKey = fields.has("rope_type") ? "rope_type" : "type";
  const type = fields.string(typeKey, "default");
  return { theta, scaling: readScaling(config, fields, { type, typeKey }, maxPositionEmbeddings) };
}

function readScaling(
  config: Fields,
  fields: Fields,
  { type, typeKey }: { type: string; typeKey: string },
  maxPositionEmbeddings: number,
): RopeScaling {
  const factor = (): number => fields.number("factor", undefined, { above: 0 });
  const originalMaxPositionEmbeddings = (): number =>
    config.has("original_max_position_embeddings")
      ? config.integer("original_max_position_embeddings")
      : fields.integer("original_max_position_embeddings", maxPositionEmbeddings);

  switch (type) {
    case "default":
      return { type: "none" };
    case "linear":
    case "dynamic":
      return { type, factor: factor() };
    case "llama3": {
      const lowFreqFactor = fields.number("low_freq_factor", undefined, { above: 0 });
      const highFreqFactor = fields.number("high_freq_factor", undefined, { above: 0 });
      if (highFreqFactor <= lowFreqFactor) {
        fields.refuse("high_freq_factor", `more than low_freq_factor, which is ${lowFreqFactor}`);
      }
      const original = originalMaxPositionEmbeddings();
      return { type, factor: factor(), lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings: original };
    }
    case "yarn": {
      const original = originalMaxPositionEmbeddings();
      const stretch = fields.number("factor", maxPositionEmbeddings / original, { above: 0 });
      return {
        type,
        factor: stretch,
        originalMaxPositionEmbeddings: original,
        betaFast: fields.number("beta_fast", 0, { least: 0 }) || 32,
        betaSlow: fields.number("beta_slow", 0, { least: 0 }) || 1,
        attentionFactor: yarnAttentionFactor(fields, stretch),
        truncate: fields.boolean("truncate", true),
      };
    }
    default:
      return fields.refuse(typeKey, "one of default, linear, dynamic, llama3, yarn");
  }
}

/** The paper's 0.1 ln(s) + 1 (arXiv:2309.00071, eq. 22), or the ratio of two such terms that `mscale` weighs. */
function yarnAttentionFactor(fields: Fields, factor: number): number {
  if (fields.has("attention_factor")) return fields.number("attention_factor", undefined, { above: 0 });
  const term = (weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const mscale = fields.number("mscale", 0, { least: 0 });
  const mscaleAllDim = fields.number("mscale_all_dim", 0, { least: 0 });
  return mscale && mscaleAllDim ? term(mscale) / term(mscaleAllDim) : term(1);
}

/** The entries of a config.json that say `rope`, in the form that `raw` used, keeping entries it had besides. */
export function ropeEntries(rope: Rope, raw: JsonObject): Record<string, unknown> {
  const isOldForm = !isEmpty(raw.rope_scaling) || raw.rope_parameters === undefined;
  const old = ((isOldForm ? raw.rope_scaling : raw.rope_parameters) ?? {}) as JsonObject;
  const { scaling } = rope;
  const entries: Record<string, unknown> = {};
  if (scaling.type !== "none") {
    Object.assign(entries, old, { rope_type: scaling.type, factor: scaling.factor });
    if (entries.type !== undefined) entries.type = scaling.type;
  }
  if (scaling.type === "llama3" || scaling.type === "yarn") {
    entries.original_max_position_embeddings = scaling.originalMaxPositionEmbeddings;
  }
  if (scaling.type === "llama3") {
    entries.low_freq_factor = scaling.lowFreqFactor;
    entries.high_freq_factor = scaling.highFreqFactor;
  }
  if (scaling.type === "yarn") {
    entries.beta_fast = scaling.betaFast;
    entries.beta_slow = scaling.betaSlow;
    entries.attention_factor = scaling.attentionFactor;
    entries.truncate = scaling.truncate;
  }
  if (isOldForm) {
    const isScaled = scaling.type !== "none";
    if (isScaled && entries.rope_theta !== undefined) entries.rope_theta = rope.theta;
    return { rope_theta: rope.theta, rope_scaling: isScaled ? entries : null };
  }
  return { rope_parameters: { rope_type: "default", ...entries, rope_theta: rope.theta } };
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || Object.keys(value).length === 0;
}
