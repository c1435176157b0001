import { open } from "node:fs/promises";
import { ModelError } from "../base/errors.js";
import type { ModelConfig } from "../model/config.js";
import type { StoredTensor } from "./safetensors.js";
import type { LocatedTensor } from "./weights_index.js";

/** A parameter of a model under its Hugging Face name. `decay` says whether weight decay applies to it. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly decay: boolean;
}

const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";

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

/**
 * Matches the tensors of a model folder to the parameters of its config. With tied embeddings the one matrix may be
 * stored under either name, or under both with equal bytes. `place`, the folder, begins every error. Throws a
 * ModelError that lists what is missing, unexpected, of another shape or of a dtype that is not F32, BF16 or F16.
 */
export async function resolveWeights(
  config: ModelConfig,
  located: ReadonlyMap<string, LocatedTensor>,
  place: string,
): Promise<Map<string, LocatedTensor>> {
  const rest = new Map([...located].filter(([name]) => !isDerived(name)));
  const resolved = new Map<string, LocatedTensor>();
  const faults = { missing: [] as string[], unusable: [] as string[] };

  for (const { name, shape } of modelParameters(config)) {
    let tensor = rest.get(name);
    rest.delete(name);
    if (name === EMBEDDING && config.tieWordEmbeddings) {
      const head = rest.get(HEAD);
      rest.delete(HEAD);
      if (tensor !== undefined && head !== undefined && !(await isSame(tensor, head))) {
        throw new ModelError(
          place,
          `${EMBEDDING} and ${HEAD} differ, expected equal ones as tie_word_embeddings is true; set it to false in config.json if both are meant`,
        );
      }
      tensor ??= head;
    }
    const fault = tensor === undefined ? undefined : faultOf(tensor, shape);
    if (tensor === undefined) faults.missing.push(name);
    else if (fault !== undefined) faults.unusable.push(`${name} ${fault}`);
    else resolved.set(name, tensor);
  }
  refuse(place, { ...faults, unexpected: [...rest.keys()] }, config);
  return resolved;
}

/** Tensors that old checkpoints store and that follow from the config. */
function isDerived(name: string): boolean {
  return /(?:^|\.)rotary_emb\.(?:inv_freq|cos_cached|sin_cached)$/.test(name);
}

function faultOf(tensor: StoredTensor, shape: readonly number[]): string | undefined {
  if (tensor.shape.join() !== shape.join()) {
    return `is ${JSON.stringify(tensor.shape)}, expected ${JSON.stringify(shape)}`;
  }
  return /^(?:F32|BF16|F16)$/.test(tensor.dtype) ? undefined : `is ${tensor.dtype}, expected F32, BF16 or F16`;
}

function refuse(
  place: string,
  faults: { missing: string[]; unusable: string[]; unexpected: string[] },
  config: ModelConfig,
): void {
  const facts: string[] = [];
  if (faults.missing.length > 0) facts.push(`missing ${list(faults.missing)}`);
  if (faults.unusable.length > 0) facts.push(list(faults.unusable));
  if (faults.unexpected.length > 0) facts.push(`unexpected ${list(faults.unexpected)}`);
  if (facts.length === 0) return;
  const isUntied = !config.tieWordEmbeddings && faults.missing.join() === HEAD;
  const cure = isUntied ? "; if it is the embedding, set tie_word_embeddings to true in config.json" : "";
  throw new ModelError(place, `the weights are not those of config.json: ${facts.join("; ")}${cure}`);
}

const LISTED = 5;

function list(names: readonly string[]): string {
  const more = names.length - LISTED;
  return `${names.slice(0, LISTED).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

const COMPARED_BYTES = 1 << 22;

/** Whether two tensors hold the same bytes as the same dtype and shape. */
async function isSame(a: LocatedTensor, b: LocatedTensor): Promise<boolean> {
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return false;
  const [fileA, fileB] = [await open(a.file), await open(b.file)];
  try {
    for (let at = 0; at < a.end - a.begin; at += COMPARED_BYTES) {
      const length = Math.min(COMPARED_BYTES, a.end - a.begin - at);
      const [bytesA, bytesB] = [Buffer.alloc(length), Buffer.alloc(length)];
      const readA = await fileA.read(bytesA, 0, length, a.begin + at);
      const readB = await fileB.read(bytesB, 0, length, b.begin + at);
      if (readA.bytesRead !== length || readB.bytesRead !== length || !bytesA.equals(bytesB)) return false;
    }
    return true;
  } finally {
    await fileA.close();
    await fileB.close();
  }
}
