import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic, writeFolderAtomic } from "../base/files.js";
import { cast } from "../kernels/cast.js";
import { toConfigJson } from "../model/config.js";
import type { Llama } from "../model/llama.js";
import { Arena } from "../tensor/arena.js";
import { type AnyTensor, type DType, flat } from "../tensor/tensor.js";
import type { StoredDtype } from "./safetensors.js";
import type { TensorEntry } from "./safetensors_write.js";
import { isWeightsFile, removeOtherWeights, writeWeights } from "./weights_index.js";

export interface SaveModelOptions {
  /** What the weights are stored as; default the model's own dtype. */
  readonly dtype?: "f32" | "bf16";
  /** The text of generation_config.json; default the token ids of the config. */
  readonly generationConfig?: string;
}

/** Writes weights and configs into `folder`, the weights last, as transformers, vLLM and llama.cpp read them. */
export async function saveModel(model: Llama, folder: string, options: SaveModelOptions = {}): Promise<void> {
  const dtype = options.dtype ?? (model.parameters.dtype as "f32" | "bf16");
  const generation = options.generationConfig ?? defaultGenerationConfig(model);
  await writeFileAtomic(join(folder, "generation_config.json"), generation);
  await writeFileAtomic(
    join(folder, "config.json"),
    toConfigJson(model.config, dtype === "f32" ? "float32" : "bfloat16"),
  );
  await writeWeights(folder, modelEntries(model, dtype));
}

/**
 * Puts a model's whole folder, weights, configs and tokenizer, among the other files of `folder`. `build` fills a hidden
 * folder in it; only when that is complete are its files moved out, the weights last, and those deleted that a model
 * which was there before had and this one has not. Throws FileError.
 */
export async function saveAmong(folder: string, build: (temporaryFolder: string) => Promise<void>): Promise<void> {
  const hidden = join(folder, ".model");
  await writeFolderAtomic(hidden, build, { replace: true });
  const names = (await readdir(hidden)).sort((a, b) => Number(isWeightsFile(a)) - Number(isWeightsFile(b)));
  for (const name of names) await rename(join(hidden, name), join(folder, name));
  await removeOtherWeights(folder, names);
  for (const name of SIDE_FILES.filter((side) => !names.includes(side))) await rm(join(folder, name), { force: true });
  await rm(hidden, { recursive: true });
}

/** What goes beside some models' weights. */
const SIDE_FILES = [
  ...["added_tokens.json", "chat_template.jinja", "special_tokens_map.json", "tokenizer.model"],
  "tokenizer_config.json",
];

function modelEntries({ parameters }: Llama, dtype: "f32" | "bf16"): TensorEntry[] {
  return parameters.specs.map(({ name, shape }) => tensorEntry(name, shape, parameters.get(name).value, dtype));
}

/** A tensor to be written as `dtype`, read from the device when its turn comes. */
export function tensorEntry(
  name: string,
  shape: readonly number[],
  tensor: AnyTensor,
  dtype: Exclude<DType, "i32">,
): TensorEntry {
  const data = async (): Promise<Uint8Array> => {
    using arena = new Arena(tensor.device);
    const values = await (tensor.dtype === dtype
      ? tensor
      : cast(arena.empty<"N">([tensor.size], dtype), flat(tensor))
    ).read();
    return new Uint8Array(values.buffer);
  };
  return { name, shape, dtype: dtype.toUpperCase() as StoredDtype, data };
}

function defaultGenerationConfig({ config }: Llama): string {
  const ids = { bos_token_id: config.bosTokenId, eos_token_id: config.eosTokenId, pad_token_id: config.padTokenId };
  const given = Object.entries(ids).filter(([, id]) => id !== null);
  return `${JSON.stringify(Object.fromEntries(given), null, 2)}\n`;
}
