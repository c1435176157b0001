import { stat } from "node:fs/promises";
import { FileError } from "../base/errors.js";
import { asFileError } from "./file_bytes.js";
import { readFileRows } from "./file_rows.js";
import { keepColumns, parseRow, type RawRow, type SourceRow } from "./raw_row.js";
import { splitFiles } from "./splits.js";

export type { SourceRow } from "./raw_row.js";

export interface ReadOptions {
  /** Which files of a folder: those named for this split. A single file is its own split. Default `train`. */
  readonly split?: string;
  /** Stop after so many rows. */
  readonly limit?: number | undefined;
  /** Fields to keep. Default: all. Of a .parquet file no others are read. */
  readonly columns?: readonly string[] | undefined;
}

/**
 * Streams the rows of a .jsonl, .json, .csv or .parquet file, the first three also in .gz or .zst, or of a folder's files
 * for one split, in file-name order. Blank lines are skipped and counted in `index`. Throws FileError where a file is
 * missing, not whole or without a row, and DataError with the place of a row that cannot be read or lacks a column.
 */
export async function* readRows(path: string, options: ReadOptions = {}): AsyncGenerator<SourceRow> {
  for await (const row of readRawRows(path, options)) yield keepColumns(parseRow(row), options.columns);
}

/** All rows of `readRows`. */
export async function loadRows(path: string, options: ReadOptions = {}): Promise<SourceRow[]> {
  const rows: SourceRow[] = [];
  for await (const row of readRows(path, options)) rows.push(row);
  return rows;
}

/**
 * `readRows` before the rows are parsed, so that a line that is no JSON object is no error yet. Rows of files other than
 * .parquet have all of their fields.
 */
export async function* readRawRows(path: string, options: ReadOptions = {}): AsyncGenerator<RawRow> {
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  if (limit <= 0) return;
  let count = 0;
  for (const file of await filesOf(path, options.split ?? "train")) {
    for await (const row of readFileRows(file, options.columns)) {
      yield row;
      if (++count >= limit) return;
    }
  }
  if (count === 0) throw noRows(path);
}

export const noRows = (path: string): FileError => new FileError(path, "holds no rows, expected at least one");

/** The files a split of a data set consists of: the file itself, or the folder's. Throws FileError where there is none. */
export async function filesOf(path: string, split: string): Promise<string[]> {
  const found = await stat(path).catch((error) => {
    throw asFileError(path, error);
  });
  return found.isDirectory() ? splitFiles(path, split) : [path];
}
