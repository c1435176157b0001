import { ConfigError } from "../base/errors.js";
import { kindOf } from "../data/file_kind.js";

/** What of rows is compared: the first message of the user, or all messages. `off`: nothing. */
export const DUPLICATE_SCOPES = ["prompt", "dialogue", "off"] as const;
export type DuplicateScope = (typeof DUPLICATE_SCOPES)[number];

/** Kinds of files that rows are written as. */
export const ROW_FORMATS = ["jsonl", "jsonl.gz", "parquet"] as const;
export type RowFormat = (typeof ROW_FORMATS)[number];

export interface PrepareOptions {
  /** Which files of a folder. Default `train`. */
  readonly split?: string | undefined;
  /** Read no more than so many rows. */
  readonly limit?: number | undefined;
  /** The `source` of rows that name none. */
  readonly source?: string | undefined;
  /** A row that holds no dialogue is an error instead of being dropped. Default false. */
  readonly strict?: boolean | undefined;
  /** Give sentences their capital letters. Default true. */
  readonly truecase?: boolean | undefined;
  /** Drop dialogues in which the assistant says that it is a program without an inner life. Default true. */
  readonly refusals?: boolean | undefined;
  /** A file of more phrases to drop dialogues by, one a line. */
  readonly refusalPhrases?: string | undefined;
  /** Benchmarks whose questions no dialogue may hold: .jsonl or .json files. */
  readonly decontaminate?: readonly string[] | undefined;
  /** So many words in a row that a message shares with a benchmark drop its dialogue. Default 13. */
  readonly ngram?: number | undefined;
  /** The benchmarks' field that holds what is asked. Default: the first of the usual names. */
  readonly benchmarkField?: string | undefined;
  /** Default `prompt`. */
  readonly exactDuplicates?: DuplicateScope | undefined;
  /** Default `dialogue`. */
  readonly nearDuplicates?: DuplicateScope | undefined;
  /** The Jaccard similarity of shingles from which on rows are near duplicates. Default 0.8. */
  readonly similarity?: number | undefined;
  /** Words of a shingle. Default 5. */
  readonly shingle?: number | undefined;
  /** Of the sketches that near duplicates are found by. Default 0. */
  readonly seed?: number | undefined;
  /** A folder with a tokenizer, to count tokens with. */
  readonly tokenizer?: string | undefined;
  /** The share of prompts that are put aside for tests. Default 0.05. */
  readonly testShare?: number | undefined;
  /** Names of the files, without their kind. Default `train` and `test`. */
  readonly trainName?: string | undefined;
  readonly testName?: string | undefined;
  /** Their kind. Default `jsonl`. */
  readonly format?: RowFormat | undefined;
  /** How many rows of each kind the report shows. Default 3. */
  readonly examples?: number | undefined;
}

/** Every option with its value; undefined where there is none. */
export type PrepareSettings = { readonly [Key in keyof PrepareOptions]-?: PrepareOptions[Key] } & {
  readonly [Key in keyof typeof PREPARE_DEFAULTS]: NonNullable<PrepareOptions[Key]>;
};

/** What options are where they are not given. */
export const PREPARE_DEFAULTS = {
  split: "train",
  strict: false,
  truecase: true,
  refusals: true,
  decontaminate: [] as readonly string[],
  ngram: 13,
  exactDuplicates: "prompt" as DuplicateScope,
  nearDuplicates: "dialogue" as DuplicateScope,
  similarity: 0.8,
  shingle: 5,
  seed: 0,
  testShare: 0.05,
  trainName: "train",
  testName: "test",
  format: "jsonl" as RowFormat,
  examples: 3,
};

/** Fills in what is not given. Throws ConfigError. */
export function settle(options: PrepareOptions): PrepareSettings {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const settings = {
    ...{ limit: undefined, source: undefined, refusalPhrases: undefined, benchmarkField: undefined },
    ...{ tokenizer: undefined, ...PREPARE_DEFAULTS, ...given },
  } as PrepareSettings;
  for (const [key, least] of [
    ["limit", 1],
    ["ngram", 1],
    ["shingle", 1],
    ["seed", 0],
    ["examples", 0],
  ] as const) {
    const value = settings[key];
    if (value === undefined || (Number.isSafeInteger(value) && value >= least)) continue;
    throw new ConfigError(key, `${value}, expected a whole number from ${least} up`);
  }
  const { similarity, testShare } = settings;
  if (!(similarity > 0 && similarity <= 1)) {
    throw new ConfigError("similarity", `${similarity}, expected a number above 0 and at most 1`);
  }
  if (!(testShare >= 0 && testShare < 1)) {
    throw new ConfigError("testShare", `${testShare}, expected a number from 0 to below 1`);
  }
  for (const key of ["exactDuplicates", "nearDuplicates"] as const) {
    if (DUPLICATE_SCOPES.includes(settings[key])) continue;
    throw new ConfigError(key, `${JSON.stringify(settings[key])}, expected one of ${DUPLICATE_SCOPES.join(", ")}`);
  }
  if (!ROW_FORMATS.includes(settings.format)) {
    throw new ConfigError("format", `${JSON.stringify(settings.format)}, expected one of ${ROW_FORMATS.join(", ")}`);
  }
  const taken = new Set(["report", "dropped"]); // in lower case: on some disks "Train" and "train" are one file
  for (const key of ["trainName", "testName"] as const) {
    const name = settings[key];
    if (!/^[\w-][\w.-]*$/.test(name)) {
      throw new ConfigError(key, `${JSON.stringify(name)}, expected letters, digits, "-", "_" and "."`);
    }
    const kind = kindOf(name);
    if (kind !== undefined)
      throw new ConfigError(key, `${name}, expected a name without ${kind}; format names the kind`);
    if (taken.has(name.toLowerCase())) throw new ConfigError(key, `${name}, which is the name of another file`);
    taken.add(name.toLowerCase());
  }
  return settings;
}
