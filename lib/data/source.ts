import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { DataError, FileError } from "../base/errors.js";
import { splitFiles } from "./splits.js";

/** A row as its file has it. `index` counts from 0: lines of a JSON lines file, elements of a JSON array. */
export interface SourceRow {
  readonly source: string;
  readonly index: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A row before it is parsed: the bytes of its JSON. They are valid until the next row is asked for. */
export interface RawRow {
  readonly source: string;
  readonly index: number;
  readonly bytes: Uint8Array;
}

export interface ReadOptions {
  /** Which files of a folder: those named for this split. A single file is its own split. Default `train`. */
  readonly split?: string;
  /** Stop after so many rows. */
  readonly limit?: number | undefined;
}

/**
 * Streams the rows of a .jsonl, .json or .jsonl.gz file, or of a folder's files for one split, in file-name order. Blank
 * lines are skipped and counted in `index`. Throws FileError where a file is missing or holds no row, and DataError with
 * the line for one that is no JSON object.
 */
export async function* readRows(path: string, options: ReadOptions = {}): AsyncGenerator<SourceRow> {
  for await (const row of readRawRows(path, options)) yield parseRow(row);
}

/** All rows of `readRows`. */
export async function loadRows(path: string, options: ReadOptions = {}): Promise<SourceRow[]> {
  const rows: SourceRow[] = [];
  for await (const row of readRows(path, options)) rows.push(row);
  return rows;
}

/** `readRows` before the rows are parsed, so that a line that is no JSON object is no error yet. */
export async function* readRawRows(path: string, options: ReadOptions = {}): AsyncGenerator<RawRow> {
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  if (limit <= 0) return;
  let count = 0;
  for (const file of await filesOf(path, options.split ?? "train")) {
    for await (const row of readFileRows(file)) {
      yield row;
      if (++count >= limit) return;
    }
  }
  if (count === 0) throw new FileError(path, "holds no rows, expected at least one");
}

/** The fields of a row. Throws DataError where its bytes are no JSON object. */
export function parseRow({ source, index, bytes }: RawRow): SourceRow {
  const place = { source, index };
  let fields: unknown;
  try {
    fields = JSON.parse(UTF8.decode(bytes).trim());
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw new DataError(place, "is not UTF-8 text, expected a JSON object");
    throw new DataError(place, `is not JSON: ${error.message}; expected one object a line`);
  }
  if (typeof fields === "object" && fields !== null && !Array.isArray(fields)) {
    return { ...place, fields: fields as Record<string, unknown> };
  }
  throw new DataError(place, `holds ${nameOf(fields)}, expected an object of fields`);
}

const UTF8 = new TextDecoder("utf-8", { fatal: true });

/** The files a split of a data set consists of: the file itself, or the folder's. Throws FileError where there is none. */
export async function filesOf(path: string, split: string): Promise<string[]> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw error.code === "ENOENT" ? missing(path) : new FileError(path, error.message, { cause: error });
  });
  return found.isDirectory() ? splitFiles(path, split) : [path];
}

const missing = (path: string): FileError =>
  new FileError(path, "is missing, expected a .jsonl, .json or .jsonl.gz file or a folder of them on this machine");

/** The rows of one file of a kind that is read. */
export function readFileRows(file: string): AsyncGenerator<RawRow> {
  if (/\.json$/.test(file)) return readArray(file);
  if (/\.(jsonl|ndjson)(\.gz)?$/.test(file)) return readLines(file);
  throw new FileError(file, "is of a kind that is not read, expected .jsonl, .json or .jsonl.gz");
}

async function* readArray(source: string): AsyncGenerator<RawRow> {
  const text = (await readFile(source, "utf8").catch(fileError(source))).replace(/^\uFEFF/, "");
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch (error) {
    throw new FileError(source, `is not JSON: ${(error as Error).message}; JSON lines belong in a .jsonl file`);
  }
  if (!Array.isArray(rows)) throw new FileError(source, `holds ${nameOf(rows)}, expected an array of rows`);
  for (const [index, fields] of rows.entries()) yield { source, index, bytes: Buffer.from(JSON.stringify(fields)) };
}

async function* readLines(source: string): AsyncGenerator<RawRow> {
  let index = 0;
  for await (const bytes of bytesOfLines(source)) {
    if (bytes.some((byte) => byte > 0x20)) yield { source, index, bytes };
    index++;
  }
}

async function* bytesOfLines(source: string): AsyncGenerator<Buffer> {
  const file = createReadStream(source);
  let stream: Readable = file;
  if (source.endsWith(".gz")) {
    const unzip = createGunzip();
    file.on("error", (error) => unzip.destroy(error));
    stream = file.pipe(unzip);
  }
  const parts: Buffer[] = []; // of the line that is not complete yet
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      let begin = 0;
      for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, begin)) {
        parts.push(chunk.subarray(begin, end));
        yield parts.length === 1 ? parts[0]! : Buffer.concat(parts);
        parts.length = 0;
        begin = end + 1;
      }
      if (begin < chunk.length) parts.push(chunk.subarray(begin));
    }
  } catch (error) {
    if (error instanceof FileError || error instanceof DataError) throw error;
    fileError(source)(error as NodeJS.ErrnoException);
  } finally {
    file.destroy();
  }
  if (parts.length > 0) yield Buffer.concat(parts);
}

function fileError(path: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    if (error.code === "ENOENT") throw missing(path);
    const isZip = error.code?.startsWith("Z_") === true;
    throw new FileError(path, isZip ? `is not whole gzip: ${error.message}` : error.message, { cause: error });
  };
}

function nameOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : typeof value === "object" ? "an object" : `a ${typeof value}`;
}
