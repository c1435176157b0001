import { type ReadOptions, readRows, type SourceRow } from "../data/source.js";
import { type HubOptions, resolveDataset } from "../hub/resolve.js";

/** The rows of a file, a folder, or a data set by its name on the hub. Throws what `readRows` and `resolveDataset` throw. */
export async function* readDataset(
  nameOrPath: string,
  { split = "train", ...options }: ReadOptions = {},
  hub: HubOptions = {},
): AsyncGenerator<SourceRow> {
  yield* readRows(await resolveDataset(nameOrPath, { ...hub, splits: [split] }), { split, ...options });
}
