import { open } from "node:fs/promises";
import { ModelError } from "../base/errors.js";
import type { ModelConfig } from "../model/config.js";
import { EMBEDDING, HEAD, modelParameters } from "../model/parameter_specs.js";
import type { StoredTensor } from "./safetensors.js";
import type { LocatedTensor } from "./weights_index.js";

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
