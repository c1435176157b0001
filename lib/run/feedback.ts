import { dirname } from "node:path";

import { makeFolder, writeFileAtomic } from "../base/files.js";
import { readRows } from "../data/source.js";
import { type BinarizeOptions, type BinarizeReport, binarize } from "../feedback/binarize.js";
import { type HubOptions, resolveDataset } from "../hub/resolve.js";

/**
 * Reads scored completions, of a file, a folder or a data set of the hub, and writes preference pairs as JSON lines, whole
 * or not at all. Returns the counts.
 */
export async function binarizeFile(
  input: string,
  output: string,
  options: BinarizeOptions,
  hub: HubOptions = {},
): Promise<BinarizeReport> {
  const pairs = binarize(readRows(await resolveDataset(input, { ...hub, splits: ["train"] })), options);
  async function* lines(): AsyncGenerator<Uint8Array> {
    for await (const pair of pairs) yield Buffer.from(`${JSON.stringify(pair)}\n`);
  }
  await makeFolder(dirname(output));
  await writeFileAtomic(output, lines());
  return pairs.report;
}
