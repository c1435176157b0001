import { holdsRows } from "../data/file_kind.js";
import { namesFor } from "../data/splits.js";
import type { HubFile } from "./listing.js";

/** Chooses the files of a repository that are of use. */
export interface Choose {
  /** What there has to be, in words. */
  readonly expected: string;
  /** None where there is nothing to use. */
  from(files: readonly HubFile[]): HubFile[];
}

const SETTINGS =
  /^(?:config.*\.json|generation_config\.json|tokenizer.*\.json|tokenizer\.model|special_tokens_map\.json|added_tokens\.json|chat_template.*|vocab\.(?:json|txt)|merges\.txt)$/;

/** What a tokenizer is read from; config.json says of which kind it is. */
export const chooseTokenizer: Choose = {
  expected: "tokenizer.json",
  from(files) {
    return files.filter(({ path }) => SETTINGS.test(path));
  },
};

/**
 * A model's settings, its tokenizer and one set of weights: model.safetensors, else what is named as its shards, else all
 * safetensors there are. Copies of other kinds and other folders' are left.
 */
export const chooseModel: Choose = {
  expected: "safetensors",
  from(files) {
    const weights = files.filter(({ path }) => /^[^/]+\.safetensors$/.test(path));
    const one = weights.filter(({ path }) => path === "model.safetensors");
    const shards = weights.filter(({ path }) => /^model-\d+-of-\d+\.safetensors$/.test(path));
    const chosen = [one, shards, weights].find((set) => set.length > 0);
    if (chosen === undefined) return [];
    const index = files.filter(({ path }) => path === "model.safetensors.index.json" && chosen !== one);
    return [...chooseTokenizer.from(files), ...index, ...chosen];
  },
};

export const isWeights = ({ path }: HubFile): boolean => path.endsWith(".safetensors");

/**
 * Rows of a data set: those of its top folder and of `data`, or of any folder where these have none. Where files are named
 * for the splits that are asked for, no others, of each split chosen by itself.
 */
export const chooseData = (splits: readonly string[] = []): Choose => ({
  expected: "rows as .parquet, .jsonl, .json or .csv",
  from(files) {
    const all = files.filter(isData);
    const names = splits.flatMap(namesFor); // which of the two a data set has is known when its files are read
    const isNamed = (name: string) => (file: HubFile) => file.path.split("/").some((part) => part.startsWith(name));
    const named = new Set(names.flatMap((name) => nearest(all.filter(isNamed(name)))));
    return named.size > 0 ? all.filter((file) => named.has(file)) : nearest(all);
  },
});

/** Those of the top folder and of `data`, or all where these have none. */
function nearest(files: HubFile[]): HubFile[] {
  const usual = files.filter(({ path }) => /^(?:data\/)?[^/]+$/.test(path));
  return usual.length > 0 ? usual : files;
}

function isData({ path }: HubFile): boolean {
  const parts = path.split("/");
  return holdsRows(parts.at(-1)!) && parts.every((part) => !part.startsWith("."));
}
