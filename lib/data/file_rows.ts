import { FileError } from "../base/errors.js";
import { readCsv } from "./csv.js";
import { kindOf, READABLE } from "./file_kind.js";
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

/** The rows of one file. Formats that keep columns apart read these alone; others read all. */
export function readFileRows(file: string, columns?: readonly string[]): AsyncGenerator<RawRow, void, void> {
  const kind = kindOf(file);
  if (kind === undefined) throw new FileError(file, `is of a kind that is not read, expected ${READABLE}`);
  return READERS.get(kind.replace(/\.(gz|zst)$/, ""))!(file, columns);
}
