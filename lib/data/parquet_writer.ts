import { open, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { FileError } from "../base/errors.js";
import { temporaryPath } from "../base/temporary.js";
import { readJsonLines, toLines } from "./json_lines.js";
import { findEmpty, type RowType, schemaOf, toStored, widen } from "./parquet_types.js";

/** Rows and bytes of their JSON in a row group, which is in memory as a whole. */
const GROUP = { rows: 10_000, bytes: 1 << 25 };
const MOST_DICTIONARY_BYTES = 1 << 20;

/**
 * Rows, each as JSON, as the bytes of a .parquet file. The type of a column is that of its values in all rows, so the
 * rows wait in a hidden file beside `path` until all are seen. Throws DataError for a value of another type than those
 * before it, and FileError.
 */
export async function* parquetBytes(path: string, rows: AsyncIterable<string>): AsyncGenerator<Buffer, void, void> {
  const waiting = temporaryPath(resolve(path), "partial");
  try {
    const type = await keepRows(path, waiting, rows);
    const writer = new ByteWriter();
    const parquet = new ParquetWriter({ writer, schema: schemaOf(type), createdBy: "westwind" });
    for await (const group of groupsOf(waiting)) {
      const columnData = [...type.fields].map(([name, each]) => ({
        name,
        data: group.map((row) => toStored(row[name], each)),
      }));
      parquet.write({ columnData, rowGroupSize: group.length, dictionarySize: MOST_DICTIONARY_BYTES });
      yield takeBytes(writer);
    }
    parquet.finish();
    yield takeBytes(writer);
  } finally {
    await rm(waiting, { force: true });
  }
}

/** Writes the rows to the hidden file, and tells their type. */
async function keepRows(path: string, waiting: string, rows: AsyncIterable<string>): Promise<RowType> {
  const type: RowType = { kind: "object", fields: new Map() };
  async function* seen(): AsyncGenerator<string, void, void> {
    let index = 0;
    for await (const row of rows) {
      widen(type, JSON.parse(row), { source: path, index: index++ }, "");
      yield row;
    }
    const empty = index > 0 && findEmpty(type, "");
    if (typeof empty !== "string") return;
    const what = empty === "" ? "no row has a field" : `${empty}: no row gives this object a field`;
    throw new FileError(path, `${what}, expected one; a .parquet file has no type for it`);
  }
  const refused = (cause: Error): never => {
    throw new FileError(path, `cannot be written: ${cause.message}; nothing was changed`, { cause });
  };
  const file = await open(waiting, "wx").catch(refused);
  try {
    for await (const lines of toLines(seen())) await file.appendFile(lines).catch(refused);
  } finally {
    await file.close();
  }
  return type;
}

async function* groupsOf(waiting: string): AsyncGenerator<Record<string, unknown>[], void, void> {
  let group: Record<string, unknown>[] = [];
  let size = 0;
  for await (const { bytes } of readJsonLines(waiting)) {
    group.push(JSON.parse(Buffer.from(bytes).toString("utf8")));
    size += bytes.length;
    if (group.length < GROUP.rows && size < GROUP.bytes) continue;
    yield group;
    [group, size] = [[], 0];
  }
  if (group.length > 0) yield group;
}

/** What was written since it was last taken. */
function takeBytes(writer: ByteWriter): Buffer {
  const bytes = Buffer.from(writer.getBytes());
  writer.index = 0;
  return bytes;
}
