import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type ColumnMetaData, parquetMetadata, type SchemaElement } from "hyparquet";
import { ByteWriter, ParquetWriter, parquetWriteBuffer } from "hyparquet-writer";
import { writeDataPageV2 } from "hyparquet-writer/src/datapage.js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DataError, FileError, WestwindError } from "../../lib/base/errors.js";
import { chooseRows } from "../../lib/data/mix.js";
import { loadRows } from "../../lib/data/source.js";
import { writeRows } from "../../lib/data/write_rows.js";

const FOLDER = "test/golden/parquet/";
const golden = (name: string) => JSON.parse(readFileSync(`${FOLDER}${name}.json`, "utf8"));
const fieldsOf = async (path: string, options = {}) => (await loadRows(path, options)).map(({ fields }) => fields);

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "parquet-"));
  path = join(folder, "x.parquet");
});
afterEach(() => rm(folder, { recursive: true }));

describe("files of the reference implementation", () => {
  const encoded = ["snappy", "gzip", "zstd", "brotli", "lz4", "pages", "pages-v2", "encodings"];
  test.each(encoded)("chats-%s", async (name) => {
    expect(await fieldsOf(`${FOLDER}chats-${name}.parquet`)).toEqual(golden("chats"));
  });

  test.each(["feedback", "types"])("%s", async (name) => {
    expect(await fieldsOf(`${FOLDER}${name}.parquet`)).toEqual(golden(name));
  });

  test.each(["sparse-v1", "sparse-v2"])("%s", async (name) => {
    expect(await fieldsOf(`${FOLDER}${name}.parquet`)).toEqual(golden("sparse"));
  });

  test("some columns, some rows", async () => {
    const rows = golden("chats") as Record<string, unknown>[];
    const columns = ["id", "rejected"];
    expect(await fieldsOf(`${FOLDER}chats-pages.parquet`, { columns, limit: 17 })).toEqual(
      rows.slice(0, 17).map(({ id, rejected }) => ({ id, rejected })),
    );
  });
});

test("a row's place is its number in the file", async () => {
  const places = (await loadRows(`${FOLDER}chats-zstd.parquet`)).map(({ source, index }) => [source, index]);
  expect(places).toEqual(golden("chats").map((_: unknown, i: number) => [`${FOLDER}chats-zstd.parquet`, i]));
});

// Arrow begins a page with a row, other writers need not.
test("a row that goes on in the next page", async () => {
  const leaf: SchemaElement = { name: "element", type: "DOUBLE", repetition_type: "REQUIRED" };
  const list: SchemaElement = { name: "list", repetition_type: "REPEATED", num_children: 1 };
  const a: SchemaElement = { name: "a", converted_type: "LIST", repetition_type: "REQUIRED", num_children: 1 };
  const schema = [{ name: "root", num_children: 1 }, a, list, leaf];
  const writer = new ByteWriter();
  const parquet = new ParquetWriter({ writer, schema });
  const begin = writer.offset;
  const column = { columnName: "a", element: leaf, schemaPath: schema, codec: "UNCOMPRESSED", compressors: {} };
  for (const [values, repetitionLevels] of [
    [
      [1, 2],
      [0, 1],
    ],
    [
      [3, 4],
      [1, 1],
    ],
  ] as const) {
    const pageData = { values, repetitionLevels, definitionLevels: [1, 1], maxDefinitionLevel: 1 };
    writeDataPageV2({ writer, column, encoding: "PLAIN", pageData } as unknown as Parameters<
      typeof writeDataPageV2
    >[0]);
  }
  const size = BigInt(writer.offset - begin);
  const meta_data = {
    ...{ type: "DOUBLE", codec: "UNCOMPRESSED", encodings: ["PLAIN"], path_in_schema: ["a", "list", "element"] },
    ...{ num_values: 4n, total_uncompressed_size: size, total_compressed_size: size, data_page_offset: BigInt(begin) },
  } as ColumnMetaData;
  parquet.row_groups.push({ columns: [{ file_offset: 0n, meta_data }], total_byte_size: size, num_rows: 1n });
  parquet.num_rows = 1n;
  parquet.finish();
  await writeFile(path, writer.getBytes());
  expect(await fieldsOf(path)).toEqual([{ a: [1, 2, 3, 4] }]);
});

// Pages that lie behind what is asked for may be damaged, since nobody looks at them.
test("no more is read than is asked for", async () => {
  const text = (i: number) => `${i} `.repeat(500);
  await writeRows(
    path,
    Array.from({ length: 3000 }, (_, i) => ({ a: text(i), b: text(-i) })),
  );
  const bytes = readFileSync(path);
  const { row_groups } = parquetMetadata(
    bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer,
  );
  const [a, b] = row_groups[0]!.columns.map(({ meta_data }) => Number(meta_data!.data_page_offset));
  await writeFile(path, Buffer.from(bytes).fill(0xff, (a! + b!) / 2, b! + 1000));
  expect(await fieldsOf(path, { columns: ["a"], limit: 10 })).toEqual(
    Array.from({ length: 10 }, (_, i) => ({ a: text(i) })),
  );
  await expect(loadRows(path, { columns: ["a"] })).rejects.toThrow(/x\.parquet: row group 1, column a: /);
  await expect(loadRows(path, { limit: 10 })).rejects.toThrow(/x\.parquet: row group 1, column b: /);
});

test("bytes that are no text", async () => {
  expect(await fieldsOf(`${FOLDER}bytes.parquet`, { limit: 1 })).toEqual([{ a: 1, image: { bytes: "ok" } }]);
  expect(await fieldsOf(`${FOLDER}bytes.parquet`, { columns: ["a"] })).toEqual([{ a: 1 }, { a: 2 }]);
  await expect(loadRows(`${FOLDER}bytes.parquet`)).rejects.toThrow(DataError);
  await expect(loadRows(`${FOLDER}bytes.parquet`)).rejects.toThrow(
    /bytes\.parquet:2: image\.bytes: 2 bytes that are no UTF-8 text/,
  );
});

describe("what cannot be read is named", () => {
  const whole = readFileSync(`${FOLDER}chats-snappy.parquet`);
  const footer = whole.readUInt32LE(whole.length - 8) + 8;
  const without = (begin: number, end: number) => Buffer.concat([whole.subarray(0, begin), whole.subarray(end)]);

  test.each([
    ["an empty file", Buffer.of(), /x\.parquet: is no Parquet file: 0 bytes, expected at least 12/],
    ["the beginning of one", Buffer.from("PAR1"), /x\.parquet: is no Parquet file: 4 bytes, expected at least 12/],
    ["another file", Buffer.from('{"a": 1}\n'.repeat(9)), /is no Parquet file/],
    [
      "a file cut at its end",
      whole.subarray(0, -100),
      /x\.parquet: is not whole: its \d+ bytes do not end with Parquet's footer/,
    ],
    ["a file with a part missing", without(200, whole.length - footer), /x\.parquet: row group 1, column prompt: /],
    [
      "a damaged footer",
      Buffer.from(whole).fill(0xff, whole.length - footer, whole.length - 8),
      /has a footer that cannot be read: /,
    ],
    [
      "a footer longer than the file",
      Buffer.from(whole).fill(0x7f, whole.length - 8, whole.length - 4),
      /has a footer that cannot be read: /,
    ],
  ])("%s", async (_, bytes, message) => {
    await writeFile(path, bytes);
    await expect(loadRows(path)).rejects.toThrow(FileError);
    await expect(loadRows(path)).rejects.toThrow(message);
  });

  test("a column that is shorter than its row group", async () => {
    const { writer, parquet } = threeRows();
    parquet.row_groups[0]!.num_rows = 5n;
    parquet.num_rows = 5n;
    parquet.finish();
    await writeFile(path, writer.getBytes());
    await expect(loadRows(path)).rejects.toThrow(/x\.parquet: row group 1, column a: ends 2 rows before its row group/);
  });

  const column = { name: "number", data: [1, 2, 3], type: "DOUBLE" as const };

  test("a compression that is not read", async () => {
    const compressors = { LZO: (bytes: Uint8Array) => bytes };
    await writeFile(path, Buffer.from(parquetWriteBuffer({ columnData: [column], codec: "LZO", compressors })));
    const message =
      "x.parquet: row group 1, column number: compressed with LZO, expected one of SNAPPY, GZIP, BROTLI, ZSTD";
    await expect(loadRows(path)).rejects.toThrow(message);
  });

  test("an encoding that is not read", async () => {
    const bytes = Buffer.from(
      parquetWriteBuffer({ columnData: [{ ...column, nullable: false }], codec: "UNCOMPRESSED" }),
    );
    const data = Buffer.alloc(24);
    [1, 2, 3].forEach((value, i) => {
      data.writeDoubleLE(value, 8 * i);
    });
    // Before the data, a page's header ends with: encoding, level sizes of 0, not compressed.
    const at = bytes.lastIndexOf(Buffer.of(0x15, 0x00, 0x15, 0x00, 0x15, 0x00), bytes.indexOf(data));
    bytes[at + 1] = 2 * 4; // BIT_PACKED
    await writeFile(path, bytes);
    await expect(loadRows(path)).rejects.toThrow(
      /x\.parquet: row group 1, column number: .*unsupported encoding: BIT_PACKED/,
    );
  });

  // Told 134 million times, a value fills more of the memory than V8 lets an array have, and ends the process.
  test("a run that is longer than its column", async () => {
    const data = Array.from({ length: 100_000 }, (_, i) => i);
    const columnData = [{ name: "a", data, type: "DOUBLE" as const, encoding: "PLAIN" as const }];
    const bytes = Buffer.from(
      parquetWriteBuffer({ columnData, codec: "UNCOMPRESSED", rowGroupSize: data.length, pageSize: 1 << 24 }),
    );
    const run = Buffer.of(0xc0, 0x9a, 0x0c, 1); // 100,000 times 1: there is a value
    expect(bytes.includes(run)).toBe(true);
    bytes.fill(Buffer.of(0xfe, 0xff, 0xff, 0xff), bytes.indexOf(run), bytes.indexOf(run) + 4);
    await writeFile(path, bytes);
    await expect(loadRows(path)).rejects.toThrow(
      "x.parquet: row group 1, column a: has a damaged page: a run of 134217727 of 100000 values",
    );
  });

  test("a column that is not there", async () => {
    const wrong = loadRows(`${FOLDER}types.parquet`, { columns: ["int8", "int9"] });
    await expect(wrong).rejects.toThrow(
      /types\.parquet: has no column "int9", expected all of int8, int9; found int8, int64,/,
    );
  });

  test.each([
    ["chats-encodings", 1375, 121, /column prompt: has a damaged page: deltas in blocks of 128 values in 121 parts/],
    ["chats-encodings", 3631, 3, /parquet schema element not found/], // an element with -2 children
  ])("what would be read for ever, in %s", async (name, at, value, message) => {
    const bytes = readFileSync(`${FOLDER}${name}.parquet`);
    bytes[at] = value;
    await writeFile(path, bytes);
    await expect(loadRows(path)).rejects.toThrow(FileError);
    await expect(loadRows(path)).rejects.toThrow(message);
  });

  test("a number of rows that its row groups do not have", async () => {
    const { writer, parquet } = threeRows();
    parquet.num_rows = 2n ** 40n;
    parquet.finish();
    await writeFile(path, writer.getBytes());
    const message = "x.parquet: has a footer that cannot be read: it tells of 1099511627776 rows, its row groups of 3";
    await expect(loadRows(path)).rejects.toThrow(message);
    await expect(chooseRows({ dataset_name: path })).rejects.toThrow(message);
  });

  test("a row that is too long", async () => {
    const columnData = ["a", "b"].map((name) => ({ name, data: ["x".repeat(1 << 25)], type: "STRING" as const }));
    await writeFile(path, Buffer.from(parquetWriteBuffer({ columnData })));
    expect(await loadRows(path, { columns: ["a"] })).toHaveLength(1);
    await expect(loadRows(path)).rejects.toThrow(/x\.parquet:1: has more than 67108864 bytes/);
  });

  test("wherever a byte is wrong", async () => {
    const bytes = readFileSync(`${FOLDER}types.parquet`);
    const change = fc.record({ at: fc.integer({ min: 0, max: bytes.length - 1 }), bit: fc.nat(7) });
    await fc.assert(
      fc.asyncProperty(change, async ({ at, bit }) => {
        const damaged = Buffer.from(bytes);
        damaged[at]! ^= 1 << bit;
        await writeFile(path, damaged);
        const outcome = await loadRows(path).catch((error) => error);
        expect(Array.isArray(outcome) || outcome instanceof WestwindError).toBe(true);
      }),
      { numRuns: 300, seed: 1 },
    );
  });
});

/** A file of three rows, before its footer. */
function threeRows() {
  const writer = new ByteWriter();
  const schema = [
    { name: "root", num_children: 1 },
    { name: "a", type: "DOUBLE" as const },
  ];
  const parquet = new ParquetWriter({ writer, schema });
  parquet.write({ columnData: [{ name: "a", data: [1, 2, 3] }] });
  return { writer, parquet };
}
