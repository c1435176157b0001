import type { ModelConfig } from "./config.js";

/** A parameter of a model under its Hugging Face name. `decay` says whether weight decay applies to it. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly decay: boolean;
}

export const EMBEDDING = "model.embed_tokens.weight";
export const HEAD = "lm_head.weight";

/**
 * Every parameter, in the order of the flat arena: matrices first, which decay, then biases and norms, which do not.
 * Within a layer q, k, v are adjacent and so are gate and up, as weights and as biases: each group is used as one
 * matrix, [H*D + 2*K*D, C] and [2F, C]. With tied embeddings there is no head.
 */
export function modelParameters(config: ModelConfig): ParameterSpec[] {
  const { hiddenSize: C, intermediateSize: F, headSize: D, vocabSize: V, attentionBias, mlpBias } = config;
  const [query, keyValue] = [config.numHeads * D, config.numKvHeads * D];
  const decayed: ParameterSpec[] = [{ name: EMBEDDING, shape: [V, C], decay: true }];
  const others: ParameterSpec[] = [];

  for (let layer = 0; layer < config.numLayers; layer++) {
    const linear = (part: string, shape: readonly [number, number], hasBias: boolean): void => {
      const name = `model.layers.${layer}.${part}`;
      decayed.push({ name: `${name}.weight`, shape, decay: true });
      if (hasBias) others.push({ name: `${name}.bias`, shape: [shape[0]], decay: false });
    };
    const norm = (part: string): void => {
      others.push({ name: `model.layers.${layer}.${part}.weight`, shape: [C], decay: false });
    };
    norm("input_layernorm");
    linear("self_attn.q_proj", [query, C], attentionBias);
    linear("self_attn.k_proj", [keyValue, C], attentionBias);
    linear("self_attn.v_proj", [keyValue, C], attentionBias);
    linear("self_attn.o_proj", [C, query], attentionBias);
    norm("post_attention_layernorm");
    linear("mlp.gate_proj", [F, C], mlpBias);
    linear("mlp.up_proj", [F, C], mlpBias);
    linear("mlp.down_proj", [C, F], mlpBias);
  }
  others.push({ name: "model.norm.weight", shape: [C], decay: false });
  if (!config.tieWordEmbeddings) decayed.push({ name: HEAD, shape: [V, C], decay: true });
  return [...decayed, ...others];
}
