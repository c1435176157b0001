import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DataError, FileError } from "../../lib/base/errors.js";
import { readJsonArray } from "../../lib/data/json_array.js";
import { loadRows } from "../../lib/data/source.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "json-array-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function elements(text: string): Promise<unknown[]> {
  const path = join(folder, "x.json");
  await writeFile(path, text);
  const found: unknown[] = [];
  for await (const { index, bytes } of readJsonArray(path)) {
    expect(index).toBe(found.length);
    found.push(JSON.parse(Buffer.from(bytes).toString()));
  }
  return found;
}

test("any array, on one line or many", async () => {
  const text = fc.tuple(
    fc.array(fc.jsonValue()),
    fc.constantFrom("", "  ", "\t"),
    fc.constantFrom("", "\uFEFF", " \r\n"),
  );
  await fc.assert(
    fc.asyncProperty(text, async ([values, indent, around]) => {
      const json = JSON.stringify(values, null, indent);
      expect(await elements(`${around === "\uFEFF" ? around : ""}${json}${around.trim()}\n`)).toEqual(JSON.parse(json));
    }),
  );
});

test("an array of many chunks, whose texts hold brackets, quotes and backslashes", async () => {
  const rows = Array.from({ length: 4000 }, (_, i) => ({ a: i, text: '\\"]},[{"'.repeat(i % 50), more: [[{}], "\\"] }));
  expect(await elements(JSON.stringify(rows))).toEqual(rows);
  const path = join(folder, "x.json.gz");
  await writeFile(path, gzipSync(JSON.stringify(rows, null, 1)));
  expect((await loadRows(path)).map(({ fields }) => fields)).toEqual(rows);
});

test.each([
  ["[]", FileError, "x.json: holds no rows, expected at least one"],
  ["", FileError, "holds no rows"],
  ['[{"a": 1}, {"a": 2}', FileError, /x\.json: ends in row 2, before the end of its array; it is not whole/],
  ['[{"a": 1}, {"a": "2}]', FileError, /ends in row 2/],
  ['[{"a": 1}}', FileError, /has a } at the end of its array, expected ]/],
  ['[{"a": 1}] [', FileError, /goes on after the end of its array/],
  ['{"a": 1}\n{"a": 2}', FileError, /holds an object, expected an array of rows; JSON lines belong in a \.jsonl file/],
  ["7", FileError, /holds no JSON array/],
  ['[{"a": 1}, {"a": }]', DataError, /x\.json:2: is not JSON: .*; expected an array of objects/],
  ['[{"a": 1},]', DataError, /x\.json:2: is not JSON/],
  ["[{}, [1]]", DataError, /x\.json:2: holds an array, expected an object of fields/],
])("%s", async (text, kind, message) => {
  const path = join(folder, "x.json");
  await writeFile(path, text);
  await expect(loadRows(path)).rejects.toThrow(kind);
  await expect(loadRows(path)).rejects.toThrow(message);
});
