import type { BenchmarkTable } from "./benchmarks.js";
import type { Change, Drop } from "./drops.js";
import type { TextKey } from "./exact_duplicates.js";
import type { DuplicateScope } from "./options.js";
import type { RefusalTable } from "./refusals.js";

/** What is done to each row by itself, in words that another thread understands. */
export interface Curation {
  readonly source: string | undefined;
  readonly truecase: boolean;
  readonly refusals: RefusalTable | undefined;
  readonly benchmarks: BenchmarkTable | undefined;
  readonly exactDuplicates: DuplicateScope;
  readonly nearDuplicates: DuplicateScope;
  readonly shingle: number;
  readonly seed: number;
  readonly tokenizerFolder: string | undefined;
  readonly testShare: number;
  /** Rows of each kind, of a block, that are shown in words. */
  readonly examples: number;
}

/** What became of a block of rows. */
export interface CuratedBlock {
  readonly kept: readonly KeptRow[];
  readonly dropped: readonly DroppedRow[];
  readonly changed: readonly ChangedRow[];
  /** The kept rows as JSON lines, one behind the other. */
  readonly lines: Uint8Array<ArrayBuffer>;
  /** [kept rows, SKETCH_SIZE]; empty where near duplicates are not looked for. */
  readonly sketches: Uint8Array<ArrayBuffer>;
}

export interface KeptRow {
  /** Its place in the block. */
  readonly at: number;
  /** Where its line ends in `lines`. */
  readonly end: number;
  /** What exact duplicates have in common. */
  readonly key: TextKey;
  readonly isTest: boolean;
  readonly source: string | undefined;
  readonly turns: number;
  readonly characters: number;
  readonly words: number;
  readonly tokens: number | undefined;
}

export interface DroppedRow extends Drop {
  readonly at: number;
  /** How its prompt begins, of the first of a kind. */
  readonly text?: string;
}

export interface ChangedRow {
  readonly at: number;
  readonly change: Change;
  /** What it was and what it is, of the first of a kind. */
  readonly text?: string;
  readonly detail?: string;
}
