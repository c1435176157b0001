import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { FileError } from "../base/errors.js";
import { writeFileAtomic } from "../base/files.js";
import { isObject, readJson } from "../base/json.js";
import { readSafetensorsHeader, type StoredTensor } from "./safetensors.js";
import { safetensorsFile, type TensorEntry, tensorBytes } from "./safetensors_write.js";

export const SINGLE_FILE = "model.safetensors";
export const INDEX_FILE = "model.safetensors.index.json";

/** A tensor and the file that holds it. */
export interface LocatedTensor extends StoredTensor {
  readonly file: string; // path
}

/**
 * Finds every tensor of a model folder, in one file or in the shards that an index names (if both are there the one
 * file is taken, as transformers does). Throws FileError when a file is missing or not what the index says.
 */
export async function locateWeights(folder: string): Promise<Map<string, LocatedTensor>> {
  const names = await readdir(folder).catch((cause) => {
    throw new FileError(folder, cause.code === "ENOENT" ? "no such folder" : cause.message, { cause });
  });
  if (names.includes(SINGLE_FILE)) return locateInFile(join(folder, SINGLE_FILE));
  if (names.includes(INDEX_FILE)) return locateInShards(folder);

  let cure = "";
  if (names.includes("adapter_model.safetensors")) cure = "; adapter_model.safetensors is an adapter: merge it first";
  else if (names.some((name) => /^pytorch_model.*\.bin/.test(name))) {
    cure = "; it has pytorch_model.bin: save the model as safetensors first";
  }
  throw new FileError(folder, `no ${SINGLE_FILE} and no ${INDEX_FILE}, expected either${cure}`);
}

async function locateInFile(file: string): Promise<Map<string, LocatedTensor>> {
  const { tensors } = await readSafetensorsHeader(file);
  return new Map([...tensors].map(([name, tensor]) => [name, { file, ...tensor }]));
}

async function locateInShards(folder: string): Promise<Map<string, LocatedTensor>> {
  const path = join(folder, INDEX_FILE);
  const fileOf = await readWeightMap(path);
  const located = new Map<string, LocatedTensor>();
  for (const shard of new Set(fileOf.values())) {
    for (const [name, tensor] of await locateInFile(join(folder, shard))) {
      if (fileOf.get(name) !== shard) {
        const said = fileOf.get(name) ?? "no file";
        throw new FileError(path, `weight_map says ${said} for ${name}, but it is in ${shard}`);
      }
      located.set(name, tensor);
    }
  }
  for (const [name, shard] of fileOf) {
    if (!located.has(name))
      throw new FileError(path, `weight_map says ${shard} for ${name}, which is not in that file`);
  }
  return located;
}

/** The index's map from tensor to shard. Its `total_size` is not held to: converters often leave a stale one. */
async function readWeightMap(path: string): Promise<Map<string, string>> {
  const index = await readJson(path);
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  if (!isObject(map)) {
    throw new FileError(path, "no weight_map, expected an object from tensor names to files");
  }
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== "string" || !file.endsWith(".safetensors") || /[/\\]/.test(file)) {
      const found = JSON.stringify(file)?.slice(0, 80);
      throw new FileError(path, `weight_map has ${found} for ${name}, expected a .safetensors file beside the index`);
    }
  }
  return new Map(Object.entries(map as Record<string, string>));
}

/** transformers' limit: 5 GB a shard. */
export const SHARD_BYTES = 5e9;

/** Cuts a list of tensors, in its order, into runs of at most `limit` bytes; a larger tensor is a run by itself. */
export function splitShards(entries: readonly TensorEntry[], limit: number): TensorEntry[][] {
  const shards: TensorEntry[][] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = tensorBytes(entry);
    const shard = shards.at(-1);
    if (shard === undefined || bytes + size > limit) {
      shards.push([entry]);
      bytes = size;
    } else {
      shard.push(entry);
      bytes += size;
    }
  }
  return shards;
}

/**
 * Writes the weights of a model into `folder` under transformers' names: one file, or shards of at most
 * `maxShardBytes` and their index. Each file is written whole or not at all, the index last; weights that an earlier
 * save left there under other names are then removed. Returns the names of the files written.
 */
export async function writeWeights(
  folder: string,
  entries: readonly TensorEntry[],
  options: { maxShardBytes?: number; metadata?: ReadonlyMap<string, string> } = {},
): Promise<string[]> {
  const { maxShardBytes = SHARD_BYTES, metadata = new Map([["format", "pt"]]) } = options;
  const shards = splitShards(entries, maxShardBytes);
  const number = (n: number): string => String(n).padStart(5, "0");
  const nameOf = (i: number): string =>
    shards.length <= 1 ? SINGLE_FILE : `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;

  const written: string[] = [];
  for (const [i, shard] of shards.entries()) {
    const { size, chunks } = safetensorsFile(shard, metadata);
    await writeFileAtomic(join(folder, nameOf(i)), chunks, { size });
    written.push(nameOf(i));
  }
  if (shards.length > 1) {
    const map = shards.flatMap((shard, i) => shard.map(({ name }) => [name, nameOf(i)] as const));
    const totals = {
      total_parameters: entries.reduce((n, { shape }) => n + shape.reduce((a, b) => a * b, 1), 0),
      total_size: entries.reduce((n, entry) => n + tensorBytes(entry), 0),
    };
    const index = { metadata: totals, weight_map: Object.fromEntries(map.toSorted(([a], [b]) => (a < b ? -1 : 1))) };
    await writeFileAtomic(join(folder, INDEX_FILE), `${JSON.stringify(index, null, 2)}\n`);
    written.push(INDEX_FILE);
  }
  await removeOtherWeights(folder, written);
  return written;
}

/** Whether a file holds weights, all or a shard of them, or is the index of the shards. */
export const isWeightsFile = (name: string): boolean =>
  name === SINGLE_FILE || name === INDEX_FILE || /^model-\d{5}-of-\d{5}\.safetensors$/.test(name);

/** Deletes the weights of an earlier save, which would otherwise be taken for a part of this one. */
export async function removeOtherWeights(folder: string, kept: readonly string[]): Promise<void> {
  for (const name of await readdir(folder)) {
    if (isWeightsFile(name) && !kept.includes(name)) await rm(join(folder, name));
  }
}
