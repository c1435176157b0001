import { stat } from "node:fs/promises";
import { ConfigError } from "../base/errors.js";
import { Random } from "../base/random.js";
import { type RowChoice, readChosen } from "./chosen.js";
import { Lister } from "./lister.js";
import { keepColumns, parseRow, type SourceRow } from "./raw_row.js";
import { hasSplit } from "./splits.js";

/** A part of a mixture: rows of one split of one data set. */
export interface MixturePart {
  readonly id: string;
  readonly split?: string | null;
  /** Share of the rows, drawn by the mixture's seed. Default: all rows, in order. */
  readonly weight?: number | null;
  /** Fields to keep. Default: all. */
  readonly columns?: readonly string[] | null;
}

export interface Mixture {
  readonly datasets: readonly MixturePart[];
  /** Rows, or below 1 the share of rows, put aside for evaluation. */
  readonly test_split_size?: number | null;
  readonly seed?: number | null;
}

/** Where rows come from; exactly one of the three is given. Keys are named as in the recipe. */
export interface DatasetOptions {
  readonly dataset_name?: string | null;
  readonly dataset_train_split?: string | null;
  readonly dataset_test_split?: string | null;
  /** Data sets and the share of each one's training rows to take, from the top. */
  readonly dataset_mixer?: Readonly<Record<string, number>> | null;
  /** For a mixer: names with `train` are trained on, names with `test` evaluated on. Default: train and test. */
  readonly dataset_splits?: readonly string[] | null;
  readonly dataset_mixture?: Mixture | null;
  readonly max_train_samples?: number | null;
  readonly max_eval_samples?: number | null;
  /** Shuffles a mixer's rows together. Default 42, the alignment-handbook's. */
  readonly seed?: number | null;
  /** Keep the rows in the files' order where they would be shuffled together. */
  readonly sequential?: boolean;
}

export interface LoadedDataset {
  readonly train: SourceRow[];
  /** Empty where the data set has no split to evaluate on. */
  readonly test: SourceRow[];
}

export interface ChosenRows {
  readonly train: readonly RowChoice[];
  readonly test: readonly RowChoice[];
  /** SHA-256 of what was looked through, row by row. */
  readonly contentHash: string;
}

// Streams of one seed that draw different things must differ.
const STREAMS = { train: 0x717, test: 0x718, mixture: 0x719, holdOut: 0x71a, part: 0x1_0000 };

/** Reads the rows to train and to evaluate on. Throws ConfigError, FileError or DataError. */
export async function loadDataset(options: DatasetOptions): Promise<LoadedDataset> {
  const { train, test } = await chooseRows(options);
  const rows = await loadChosen([...train, ...test]);
  return { train: rows.slice(0, train.length), test: rows.slice(train.length) };
}

/** The rows of these choices, in their order. Throws DataError for one that cannot be read. */
export async function loadChosen(choices: readonly RowChoice[]): Promise<SourceRow[]> {
  const rows: SourceRow[] = new Array(choices.length);
  for await (const { at, row } of readChosen(choices)) rows[at] = keepColumns(parseRow(row), choices[at]!.columns);
  return rows;
}

/** Chooses the rows to train and to evaluate on, without reading what is in them. Throws ConfigError or FileError. */
export async function chooseRows(options: DatasetOptions): Promise<ChosenRows> {
  const given = [options.dataset_name, options.dataset_mixer, options.dataset_mixture].filter((each) => each != null);
  if (given.length !== 1) {
    const found = given.length === 0 ? "none of them is given" : "more than one is given";
    throw new ConfigError("dataset_name, dataset_mixer, dataset_mixture", `${found}, expected exactly one`);
  }
  const lister = new Lister();
  const { train, test } = await (options.dataset_mixture != null
    ? chooseFromMixture(lister, options.dataset_mixture, options)
    : options.dataset_mixer != null
      ? chooseFromMixer(lister, options.dataset_mixer, options)
      : chooseFromNamed(lister, options.dataset_name!, options));
  return {
    train: train.slice(0, options.max_train_samples ?? train.length),
    test: test.slice(0, options.max_eval_samples ?? test.length),
    contentHash: lister.contentHash,
  };
}

type Choices = Omit<ChosenRows, "contentHash">;

async function chooseFromNamed(lister: Lister, path: string, options: DatasetOptions): Promise<Choices> {
  const names = options.dataset_splits ?? [];
  const trainSplit = options.dataset_train_split ?? names.find((name) => name.includes("train")) ?? "train";
  const testSplit = options.dataset_test_split ?? names.find((name) => name.includes("test")) ?? "test";
  const train = await lister.list(path, trainSplit, options.max_train_samples ?? undefined);
  const hasTest = await hasOwnTest(path, testSplit);
  const test = hasTest ? await lister.list(path, testSplit, options.max_eval_samples ?? undefined) : [];
  return { train, test };
}

async function hasOwnTest(path: string, split: string): Promise<boolean> {
  return (await stat(path)).isDirectory() && (await hasSplit(path, split));
}

// The alignment-handbook's mix_datasets: of every training split the first int(share * rows) rows, of every test split
// all; each put together in the mixer's order, then shuffled.
async function chooseFromMixer(
  lister: Lister,
  mixer: Readonly<Record<string, number>>,
  options: DatasetOptions,
): Promise<Choices> {
  const splits = options.dataset_splits ?? ["train", "test"];
  const [train, test]: [RowChoice[], RowChoice[]] = [[], []];
  for (const [path, share] of Object.entries(mixer)) {
    if (!(share >= 0 && share <= 1)) throw new ConfigError(`dataset_mixer.${path}`, `${share}, expected 0 to 1`);
    const isFile = (await stat(path).catch(() => undefined))?.isFile() === true;
    for (const split of splits) {
      if (split.includes("train")) {
        const rows = await lister.list(path, split);
        append(train, rows.slice(0, Math.floor(share * rows.length)));
      } else if (!split.includes("test")) {
        throw new ConfigError("dataset_splits", `${JSON.stringify(split)}, expected "train" or "test" in the name`);
      } else if (!isFile && (options.dataset_splits != null || (await hasSplit(path, split)))) {
        append(test, await lister.list(path, split));
      }
    }
  }
  if (train.length === 0 && splits.some((split) => split.includes("train"))) {
    throw new ConfigError("dataset_mixer", "the shares leave no row to train on, expected at least one");
  }
  const seed = options.seed ?? 42;
  if (options.sequential === true) return { train, test };
  return { train: new Random(seed, STREAMS.train).shuffle(train), test: new Random(seed, STREAMS.test).shuffle(test) };
}

// The alignment-handbook's get_dataset: a weighted part is shuffled and its first int(weight * rows) rows are taken; all
// parts are put together and shuffled; the test split is cut from them.
async function chooseFromMixture(lister: Lister, mixture: Mixture, options: DatasetOptions): Promise<Choices> {
  const seed = mixture.seed ?? 0;
  const rows: RowChoice[] = [];
  for (const [i, { id, split, weight, columns }] of mixture.datasets.entries()) {
    const part = (await lister.list(id, split ?? "train")).map((row) => (columns == null ? row : { ...row, columns }));
    if (weight == null) append(rows, part);
    else {
      const drawn =
        weight === 1 && options.sequential === true ? part : new Random(seed, STREAMS.part + i).shuffle(part);
      append(rows, drawn.slice(0, Math.floor(weight * part.length)));
    }
  }
  if (options.sequential !== true) new Random(seed, STREAMS.mixture).shuffle(rows);
  const size = mixture.test_split_size;
  if (size == null) {
    if (rows.length === 0) throw new ConfigError("dataset_mixture", "the weights leave no row, expected at least one");
    return { train: rows, test: [] };
  }
  const numTest = size < 1 ? Math.ceil(size * rows.length) : size;
  if (numTest >= rows.length) {
    const found = `${size} of ${rows.length} rows leaves none to train on`;
    throw new ConfigError("dataset_mixture.test_split_size", `${found}, expected fewer`);
  }
  const order = new Random(seed, STREAMS.holdOut).shuffle(rows.map((_, i) => i));
  const held = new Set(order.slice(0, numTest));
  return { train: rows.filter((_, i) => !held.has(i)), test: rows.filter((_, i) => held.has(i)) };
}

function append(rows: RowChoice[], more: readonly RowChoice[]): void {
  for (const row of more) rows.push(row);
}
