import { FileError } from "../base/errors.js";
import { readCsv } from "./csv.js";
import { readJsonArray } from "./json_array.js";
import { readJsonLines } from "./json_lines.js";
import { readParquet } from "./parquet.js";
import type { RawRow } from "./raw_row.js";

type Reader = (source: string, columns?: readonly string[]) => AsyncGenerator<RawRow, void, void>;

const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  [".jsonl", readJsonLines],
  [".ndjson", readJsonLines],
  [".json", readJsonArray],
  [".csv", readCsv],
  [".parquet", readParquet],
]);

/** The files of rows that are read, in words. */
export const READABLE = ".jsonl, .json, .csv (each also with .gz or .zst) or .parquet";

/** What the end of a file's name says it is, as `.jsonl.gz`; nothing for a kind that is not read. */
export function kindOf(name: string): string | undefined {
  return /(\.(jsonl|ndjson|json|csv)(\.gz|\.zst)?|\.parquet)$/.exec(name)?.[0];
}

/** The rows of one file. Formats that keep columns apart read these alone; others read all. */
export function readFileRows(file: string, columns?: readonly string[]): AsyncGenerator<RawRow, void, void> {
  const kind = kindOf(file);
  if (kind === undefined) throw new FileError(file, `is of a kind that is not read, expected ${READABLE}`);
  return READERS.get(kind.replace(/\.(gz|zst)$/, ""))!(file, columns);
}
