import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { AbortedError, FileError } from "../base/errors.js";
import { writeFileAtomic } from "../base/files.js";
import { readSafetensorsHeader } from "../checkpoint/safetensors.js";
import { safetensorsFile } from "../checkpoint/safetensors_write.js";
import { locateWeights } from "../checkpoint/weights_index.js";
import type { TokenPair } from "../data/encode.js";
import { eachRow, mapRows, type Rows, sliceRows } from "../data/rows.js";
import type { DpoTask, ReferencedPair } from "./dpo.js";

/** Pairs whose log-probabilities are computed between two reports of progress. */
const CHUNK = 64;

export interface ReferenceOptions {
  /** The folder the model was loaded from. */
  readonly modelFolder: string;
  readonly dtype: string;
  /** Where the numbers are kept. */
  readonly cacheFolder: string;
  readonly signal?: AbortSignal;
}

/**
 * Gives every pair what the model, as it is now, gives its answers. The numbers are kept in a file named by the weights,
 * the config, the dtype and every token, so that another epoch, another run or a resumed one only reads them. Yields how
 * many pairs are done, and at the end all of them.
 */
export async function* referencePairs(
  task: DpoTask,
  pairs: Rows<TokenPair>,
  { modelFolder, dtype, cacheFolder, signal }: ReferenceOptions,
): AsyncGenerator<{ readonly done: number } | { readonly pairs: Rows<ReferencedPair> }, void, void> {
  const path = join(cacheFolder, `reference-${await referenceKey(modelFolder, dtype, pairs)}.safetensors`);
  let values = await readReference(path, pairs.length);
  if (values === undefined) {
    values = new Float32Array(2 * pairs.length);
    yield { done: 0 };
    for (let first = 0; first < pairs.length; first += CHUNK) {
      if (signal?.aborted) throw new AbortedError(0, "stopped before the first step; nothing was saved");
      const sums = await task.logProbs(sliceRows(pairs, first, first + CHUNK));
      for (const [i, { refChosen, refRejected }] of sums.entries())
        values.set([refChosen, refRejected], 2 * (first + i));
      yield { done: Math.min(first + CHUNK, pairs.length) };
    }
    await writeReference(path, values);
  }
  const found = values;
  yield {
    pairs: mapRows(pairs, (pair, i) => ({ ...pair, refChosen: found[2 * i]!, refRejected: found[2 * i + 1]! })),
  };
}

async function referenceKey(modelFolder: string, dtype: string, pairs: Rows<TokenPair>): Promise<string> {
  const hash = createHash("sha256").update(dtype);
  hash.update(await readFile(join(modelFolder, "config.json")));
  const located = await locateWeights(modelFolder);
  for (const file of [...new Set([...located.values()].map((tensor) => tensor.file))].sort()) {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  }
  for (const { prompt, chosen, rejected } of eachRow(pairs)) {
    hash.update(Int32Array.of(prompt.length, chosen.length, rejected.length));
    for (const ids of [prompt, chosen, rejected]) hash.update(ids);
  }
  return hash.digest("hex").slice(0, 16);
}

async function writeReference(path: string, values: Float32Array): Promise<void> {
  const data = async () => new Uint8Array(values.buffer);
  const { size, chunks } = safetensorsFile([{ name: "log_probs", dtype: "F32", shape: [values.length / 2, 2], data }]);
  await writeFileAtomic(path, chunks, { size });
}

/** The cached values, or undefined when there is no file; one that does not fit is an error. */
async function readReference(path: string, numPairs: number): Promise<Float32Array | undefined> {
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return undefined;
    throw new FileError(path, cause.message, { cause });
  });
  if (bytes === undefined) return undefined;
  const tensor = (await readSafetensorsHeader(path)).tensors.get("log_probs");
  if (tensor?.dtype !== "F32" || tensor.shape.join() !== `${numPairs},2`) {
    throw new FileError(path, `not the log-probabilities of ${numPairs} pairs; delete it to have them computed again`);
  }
  return new Float32Array(Uint8Array.from(bytes.subarray(tensor.begin, tensor.end)).buffer);
}
