import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parquetMetadata } from "hyparquet";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DataError, FileError } from "../../lib/base/errors.js";
import { loadRows } from "../../lib/data/source.js";
import { writeRows } from "../../lib/data/write_rows.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "write-rows-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function writtenAndRead(name: string, rows: readonly object[]): Promise<unknown[]> {
  const path = join(folder, name);
  expect(await writeRows(path, rows)).toBe(rows.length);
  return (await loadRows(path)).map(({ fields }) => fields);
}

const message = (role: string, content: string | null) => ({ role, content });
const pairs = Array.from({ length: 40 }, (_, i) => ({
  prompt: `Which is ${i}? é日🙂`,
  chosen: [message("user", `Which is ${i}?`), message("assistant", "this ".repeat(i % 7))],
  rejected: i % 9 === 4 ? [] : [message("user", `Which is ${i}?`), message("assistant", i % 5 === 0 ? null : "that")],
  score_chosen: i / 2,
  score_rejected: i,
  chosen_model: i % 3 === 0 ? null : `m${i % 2}`,
  is_tied: i % 2 === 0,
}));
const rating = (i: number) => ({ Rating: String(i), Rationale: "because", Type: i % 2 === 0 ? null : ["1"] });
const feedback = Array.from({ length: 12 }, (_, i) => ({
  instruction: `do ${i}`,
  models: ["a", "b"].slice(0, i % 3),
  completions: Array.from({ length: i % 4 }, (_, k) => ({
    model: "a",
    response: `${k}`,
    annotations: (i + k) % 5 === 0 ? null : { honesty: rating(k), helpfulness: k === 2 ? null : rating(i) },
    "fine-grained_score": k / 4,
  })),
}));

describe("what is written is read", () => {
  test.each(["x.jsonl", "x.jsonl.gz", "x.parquet", "new/folder/x.parquet"])("%s", async (name) => {
    expect(await writtenAndRead(name, pairs)).toEqual(pairs);
    expect(await writtenAndRead(`feedback/${name}`, feedback)).toEqual(feedback);
  });

  test("as JSON has it, with null for what a row of a .parquet file lacks", async () => {
    const rows = [
      { a: 1, time: new Date(0), none: undefined, more: [{ x: 1 }] },
      { a: Number.NaN, b: "text", more: [{ y: [0.5] }, {}] },
      { a: 2 ** 60, always: null, "odd.name": true },
    ];
    const time = "1970-01-01T00:00:00.000Z";
    expect(await writtenAndRead("x.jsonl", rows)).toEqual([
      { a: 1, time, more: [{ x: 1 }] },
      { a: null, b: "text", more: [{ y: [0.5] }, {}] },
      { a: 2 ** 60, always: null, "odd.name": true },
    ]);
    const nothing = { a: null, time: null, b: null, more: null, always: null, "odd.name": null };
    expect(await writtenAndRead("x.parquet", rows)).toEqual([
      { ...nothing, a: 1, time, more: [{ x: 1, y: null }] },
      {
        ...nothing,
        b: "text",
        more: [
          { x: null, y: [0.5] },
          { x: null, y: null },
        ],
      },
      { ...nothing, a: 2 ** 60, "odd.name": true },
    ]);
  });

  test("rows of any types", async () => {
    await fc.assert(
      fc.asyncProperty(typedRows, async (rows) => {
        expect(await writtenAndRead("x.parquet", rows)).toEqual(rows);
      }),
      { numRuns: 150 },
    );
  });

  test("rows that come one at a time, in groups of 10,000", async () => {
    const path = join(folder, "x.parquet");
    async function* rows() {
      for (let i = 0; i < 20_001; i++) yield { id: i, text: `row ${i}` };
    }
    expect(await writeRows(path, rows())).toBe(20_001);
    const { row_groups } = parquetMetadata((await readFile(path)).buffer as ArrayBuffer);
    expect(row_groups.map(({ num_rows }) => Number(num_rows))).toEqual([10_000, 10_000, 1]);
    const [last] = (await loadRows(path)).slice(-1);
    expect(last).toEqual({ source: path, index: 20_000, fields: { id: 20_000, text: "row 20000" } });
  });

  test("no rows", async () => {
    for (const name of ["x.jsonl", "x.jsonl.gz", "x.parquet"]) {
      expect(await writeRows(join(folder, name), [])).toBe(0);
      await expect(loadRows(join(folder, name))).rejects.toThrow("holds no rows");
    }
  });
});

type Scalar = "text" | "integer" | "number" | "boolean";
type RowType = Scalar | { readonly list: RowType } | { readonly fields: Readonly<Record<string, RowType>> };

/** Rows whose fields are of one type each, or null. */
const typedRows = fc
  .letrec<{ type: RowType }>((tie) => ({
    type: fc.oneof(
      { depthSize: "small", maxDepth: 4 },
      fc.constantFrom("text", "integer", "number", "boolean"),
      fc.record({ list: tie("type") }),
      fc.record({
        fields: fc.dictionary(
          fc
            .string({ minLength: 1, maxLength: 3, unit: "grapheme-ascii" })
            .filter((name) => !/[.]|^__proto__$/.test(name)),
          tie("type"),
          { minKeys: 1, maxKeys: 3 },
        ),
      }),
    ),
  }))
  .type.chain((type) =>
    fc.array(fc.record({ value: valueOfType(type), id: fc.nat() }), { minLength: 1, maxLength: 20 }),
  );

const SCALARS: Readonly<Record<Scalar, fc.Arbitrary<unknown>>> = {
  text: fc.string({ unit: "grapheme" }),
  integer: fc.maxSafeInteger(),
  number: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
  boolean: fc.boolean(),
};
const listOf = (type: RowType) => fc.array(valueOfType(type), { maxLength: 4 });
const recordOf = (types: Readonly<Record<string, RowType>>) =>
  fc.record(Object.fromEntries(Object.entries(types).map(([name, type]) => [name, valueOfType(type)])));

function valueOfType(type: RowType): fc.Arbitrary<unknown> {
  const own = typeof type === "string" ? SCALARS[type] : "list" in type ? listOf(type.list) : recordOf(type.fields);
  return fc.option(own, { freq: 4 });
}

describe("whole or not at all", () => {
  const old = async (path: string) => {
    await writeFile(path, "old");
    return path;
  };
  async function* broken() {
    yield { a: 1 };
    throw new Error("no more");
  }

  test.each(["x.jsonl", "x.jsonl.gz", "x.parquet"])("an error of the rows leaves %s as it was", async (name) => {
    const path = await old(join(folder, name));
    await expect(writeRows(path, broken())).rejects.toThrow(/^no more$/);
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await readdir(folder)).toEqual([name]);
  });

  test.each([
    [
      "a kind that is not written",
      "x.csv",
      [{ a: 1 }],
      FileError,
      /x\.csv: is of a kind that is not written, expected \.jsonl/,
    ],
    ["a folder in a file", "old/x.parquet", [{ a: 1 }], FileError, /cannot be made/],
    ["what is no object", "x.jsonl", [{ a: 1 }, [2]], DataError, /x\.jsonl:2: is \[2\], expected an object of fields/],
    ["what JSON cannot have", "x.parquet", [{ a: 1n }], DataError, /x\.parquet:1: cannot be written as JSON: .*BigInt/],
    [
      "other types",
      "x.parquet",
      [{ a: 1 }, { a: null }, { a: "2" }],
      DataError,
      /x\.parquet:3: a: text, expected a number as in the rows before/,
    ],
    [
      "other types within",
      "x.parquet",
      [{ a: [{ b: 1 }] }, { a: [{ b: 2 }, { b: [] }] }],
      DataError,
      /:2: a\[1\]\.b: a list, expected a number/,
    ],
    [
      "an object without fields",
      "x.parquet",
      [{ a: [{}] }],
      FileError,
      /x\.parquet: a\[\]: no row gives this object a field/,
    ],
    ["rows without fields", "x.parquet", [{}], FileError, /x\.parquet: no row has a field, expected one/],
  ] as const)("%s", async (_, name, rows, kind, message) => {
    await old(join(folder, "old"));
    await expect(writeRows(join(folder, name), rows)).rejects.toThrow(kind);
    await expect(writeRows(join(folder, name), rows)).rejects.toThrow(message);
    expect(await readdir(folder)).toEqual(["old"]);
  });
});
