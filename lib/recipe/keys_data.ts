import { z } from "zod";
import { described, flag, integer, oneOf, real, text, texts } from "./values.js";

const splitNames = () =>
  described(
    texts().refine((names) => names.every((name) => /train|test/.test(name))),
    'a list of split names, each with "train" or "test" in it',
  );

const testSplitSize = () =>
  described(
    z.number().refine((size) => (size > 0 && size < 1) || (size >= 1 && Number.isSafeInteger(size))),
    "a number of rows, or a share between 0 and 1",
  );

const mixturePart = z.strictObject({
  id: text("a file, a folder or a name on the hub").describe("File or folder of the data set, or its name on the hub."),
  revision: text()
    .nullable()
    .default(null)
    .describe("Branch, tag or commit of a data set that is found on the hub; null: main."),
  config: text().nullable().default(null).describe("Configuration; only `default`, the folder itself, is read."),
  split: text().default("train").describe("Split to take rows from."),
  columns: texts().nullable().default(null).describe("Columns to keep; null: all."),
  weight: real({ atLeast: 0, atMost: 1 })
    .nullable()
    .default(null)
    .describe("Share of the rows, drawn by the seed; null: all, in order."),
});

const mixture = z.strictObject({
  datasets: described(
    z.array(mixturePart).min(1),
    "a list of data sets, each with id, revision, config, split, columns, weight",
  ).describe("The parts, in order."),
  test_split_size: testSplitSize().nullable().default(null).describe("Rows put aside for evaluation after mixing."),
  seed: integer(0).default(0).describe("Draws the rows of each part, mixes them, and draws the test split."),
});

export const dataKeys = {
  dataset_name: text()
    .nullable()
    .default(null)
    .describe(
      "A file of rows, a folder with files for each split (see Files of rows), or a name on the hub. One of the three data set keys is needed.",
    ),
  dataset_revision: text()
    .nullable()
    .default(null)
    .describe("Branch, tag or commit of a dataset_name that is found on the hub; null: main."),
  dataset_config: text()
    .nullable()
    .default(null)
    .describe("Configuration; only `default`, the folder itself, is read."),
  dataset_train_split: text().default("train").describe("Split to train on."),
  dataset_test_split: text().default("test").describe("Split to evaluate on, where evaluation is asked for."),
  dataset_splits: splitNames()
    .nullable()
    .default(null)
    .describe(
      "The alignment-handbook's way to name both: names with `train` are trained on, with `test` evaluated on.",
    ),
  dataset_mixer: described(
    z.record(z.string(), real({ atLeast: 0, atMost: 1 })),
    "a mapping of data sets to shares between 0 and 1",
  )
    .nullable()
    .default(null)
    .describe(
      "Data sets and the share of each one's training rows to take, from the top. Test rows are all kept. A name on the hub may have a revision behind it: `owner/name@revision`.",
    ),
  dataset_configs: texts().nullable().default(null).describe("Configurations of dataset_mixer's data sets, in order."),
  dataset_mixture: described(mixture, "a mapping with datasets, test_split_size, seed")
    .nullable()
    .default(null)
    .describe("Data sets with weights, mixed by a seed, and a test split cut from the mixture."),
  max_train_samples: integer(1).nullable().default(null).describe("Train on the first so many rows; null: all."),
  max_eval_samples: integer(1).nullable().default(null).describe("Evaluate on the first so many rows; null: all."),
  data_order: described(z.enum(["shuffled", "sequential"]), "one of shuffled, sequential")
    .default("shuffled")
    .describe("`shuffled`: every epoch in its own order, drawn from the seed. `sequential`: the data's own order."),
  data_seed: integer(0).nullable().default(null).describe("Seed of the order alone; null: seed."),
};

/** Ways to say one thing: a later one (a section's, a command line's) takes the place of an earlier one of its group. */
export const ALTERNATIVES: readonly (readonly (readonly string[])[])[] = [
  [["dataset_name"], ["dataset_mixer"], ["dataset_mixture"]],
  [["dataset_splits"], ["dataset_train_split", "dataset_test_split"]],
  [["warmup_ratio"], ["warmup_steps"]],
];

export const lengthKeys = {
  max_length: integer(1)
    .nullable()
    .default(1024)
    .describe(
      "Tokens of a row (dpo: of the prompt and one answer); longer ones are cut. null: never cut. Also spelt max_seq_length.",
    ),
  truncation_mode: described(z.enum(["keep_start", "keep_end"]), "one of keep_start, keep_end")
    .default("keep_start")
    .describe("Which end of a row longer than max_length stays."),
};

export const sftDataKeys = {
  ...lengthKeys,
  dataset_text_field: text().default("text").describe("Column of plain text, for rows that are not conversations."),
  packing: flag()
    .default(false)
    .describe(
      "Use packing_strategy; a strategy's name here sets both. westwind never pads, and a micro-batch is always rows of the data set, so true with bfd changes nothing.",
    ),
  packing_strategy: oneOf(["bfd", "bfd_split", "wrapped"], { ffd: "bfd", "bfd-requeue": "bfd_split" })
    .default("bfd")
    .describe(
      "bfd: whole documents, cut at max_length. bfd_split: longer ones go on in further rows. wrapped: all documents in one stream, cut every max_length tokens, attention across documents (the paper's SFT).",
    ),
};

export const dpoDataKeys = {
  ...lengthKeys,
  max_prompt_length: integer(1)
    .nullable()
    .default(null)
    .describe("Tokens of a prompt before it is cut; null: as max_length allows."),
};
