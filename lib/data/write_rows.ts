import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { DataError, FileError } from "../base/errors.js";
import { makeFolder, writeFileAtomic } from "../base/files.js";
import { kindOf } from "./file_kind.js";
import { toLines } from "./json_lines.js";
import { parquetBytes } from "./parquet_writer.js";

/**
 * Writes rows as they come, as a .jsonl, .jsonl.gz or .parquet file by the end of its name, whole or not at all; its folder
 * is made. Values are those that JSON has of them. The columns of .parquet are all fields of all rows, each of one type,
 * null where a row lacks it. Returns the number of rows. Throws FileError, and DataError with the row (and the field) for
 * what cannot be written; an error of `rows` itself passes through.
 */
export async function writeRows(path: string, rows: AsyncIterable<object> | Iterable<object>): Promise<number> {
  const format = await checkWritable(path);
  let count = 0;
  async function* texts(): AsyncGenerator<string, void, void> {
    for await (const row of rows) yield toJson(row, path, count++);
  }
  await makeFolder(dirname(path));
  await writeFileAtomic(path, format(path, texts()));
  return count;
}

type Format = (path: string, texts: AsyncIterable<string>) => AsyncIterable<Buffer>;

/** Throws FileError where `writeRows` could not write: for whoever works long for the rows. */
export async function checkWritable(path: string): Promise<Format> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) throw new FileError(path, "is a folder, expected a file to write");
  switch (kindOf(path)) {
    case ".jsonl":
      return (_, texts) => toLines(texts);
    case ".jsonl.gz":
      return (_, texts) => gzipped(toLines(texts));
    case ".parquet":
      return parquetBytes;
    default:
      throw new FileError(path, "is of a kind that is not written, expected .jsonl, .jsonl.gz or .parquet");
  }
}

async function* gzipped(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  const gzip = createGzip();
  const feeding = pipeline(chunks, gzip);
  feeding.catch(() => undefined); // it is thrown by what is read
  yield* gzip as AsyncIterable<Buffer>;
}

function toJson(row: object, source: string, index: number): string {
  const place = { source, index };
  let text: string | undefined;
  try {
    text = JSON.stringify(row);
  } catch (error) {
    throw new DataError(place, `cannot be written as JSON: ${(error as Error).message}`);
  }
  if (text?.startsWith("{")) return text;
  throw new DataError(place, `is ${text === undefined ? "nothing" : text.slice(0, 40)}, expected an object of fields`);
}
