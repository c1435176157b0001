import { type FileHandle, open } from "node:fs/promises";
import { type FileMetaData, parquetMetadataAsync, parquetSchema, type SchemaTree } from "hyparquet";
import { FileError } from "../base/errors.js";
import { asFileError } from "./file_bytes.js";
import { ParquetField } from "./parquet_field.js";
import { toPlain } from "./parquet_values.js";
import { noColumn, type RawRow, rawRow } from "./raw_row.js";

/** Rows that are put together at a time. */
const BATCH = 256;

/**
 * The rows of a .parquet file, or these columns of them, page by page. Throws FileError where the file is none, not whole
 * or has what is not read, with the row group and column, and DataError for a value that JSON cannot have.
 */
export async function* readParquet(source: string, columns?: readonly string[]): AsyncGenerator<RawRow, void, void> {
  await using opened = await openParquet(source);
  const { file, metadata, tree } = opened;
  const names = tree.children.map(({ element }) => element.name);
  const absent = columns?.find((name) => !names.includes(name));
  if (absent !== undefined) throw new FileError(source, noColumn(absent, columns!, names));
  const fields = tree.children.filter(({ element }) => columns === undefined || columns.includes(element.name));

  let index = 0;
  for (const [number, group] of metadata.row_groups.entries()) {
    const readers = fields.map((field) => new ParquetField(source, number, file, tree, group, field));
    for (let left = Number(group.num_rows); left > 0; left -= BATCH) {
      const count = Math.min(BATCH, left);
      const values: (readonly unknown[])[] = [];
      for (const reader of readers) values.push(await reader.take(count));
      for (let i = 0; i < count; i++, index++) {
        const row: Record<string, unknown> = {};
        fields.forEach(({ element }, f) => {
          row[element.name] = toPlain(values[f]![i], { source, index }, element.name);
        });
        yield rawRow(source, index, row);
      }
    }
  }
}

/** How many rows a .parquet file says it has. Throws FileError where it is none or not whole. */
export async function countParquetRows(source: string): Promise<number> {
  await using opened = await openParquet(source);
  return Number(opened.metadata.num_rows);
}

interface Opened extends AsyncDisposable {
  readonly file: FileHandle;
  readonly metadata: FileMetaData;
  readonly tree: SchemaTree;
}

async function openParquet(source: string): Promise<Opened> {
  const file = await open(source).catch((error) => {
    throw asFileError(source, error);
  });
  try {
    return { file, ...(await readFooter(source, file)), [Symbol.asyncDispose]: () => file.close() };
  } catch (error) {
    await file.close();
    throw asFileError(source, error as NodeJS.ErrnoException);
  }
}

async function readFooter(source: string, file: FileHandle): Promise<Pick<Opened, "metadata" | "tree">> {
  const { size } = await file.stat();
  const slice = async (begin: number, end = size): Promise<ArrayBuffer> => {
    const bytes = new Uint8Array(end - begin);
    await file.read(bytes, 0, bytes.length, begin);
    return bytes.buffer;
  };
  if (size < 12) throw new FileError(source, `is no Parquet file: ${size} bytes, expected at least 12`);
  const magic = async (at: number) => Buffer.from(await slice(at, at + 4)).toString("latin1");
  const [head, tail] = [await magic(0), await magic(size - 4)];
  if (head !== "PAR1") throw new FileError(source, `is no Parquet file: ${size} bytes that do not begin with PAR1`);
  if (tail !== "PAR1") throw new FileError(source, `is not whole: its ${size} bytes do not end with Parquet's footer`);
  try {
    // Without a look for columns of places, which goes in circles where an element has fewer children than none.
    const metadata = await parquetMetadataAsync({ byteLength: size, slice }, { geoparquet: false });
    checkRowCounts(metadata);
    return { metadata, tree: parquetSchema(metadata) };
  } catch (cause) {
    throw new FileError(source, `has a footer that cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Whoever trusts a wrong number of rows would list rows until the memory is full. */
function checkRowCounts({ num_rows: told, row_groups }: FileMetaData): void {
  const counts = row_groups.map(({ num_rows }) => num_rows);
  const found = counts.reduce((sum, count) => sum + count, 0n);
  if (found === told && counts.every((count) => count >= 0n)) return;
  throw new Error(`it tells of ${told} rows, its row groups of ${found}`);
}
