import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DataError, FileError } from "../../lib/base/errors.js";
import { loadRows, type SourceRow } from "../../lib/data/source.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "csv-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function load(text: string | Uint8Array): Promise<SourceRow[]> {
  const path = join(folder, "x.csv");
  await writeFile(path, text);
  return loadRows(path);
}
const fieldsOf = async (text: string) => (await load(text)).map(({ fields }) => fields);

test("every value is text", async () => {
  const text = '\uFEFFname,a b,"c, d"\n1,true,null\n,"say ""no""",é日🙂\n';
  expect(await fieldsOf(text)).toEqual([
    { name: "1", "a b": "true", "c, d": "null" },
    { name: "", "a b": 'say "no"', "c, d": "é日🙂" },
  ]);
});

test("any table, each row at the line it begins in", async () => {
  const value = fc.string({ unit: fc.constantFrom("a", ",", '"', "\n", "\r\n", " ", "é", "🙂") });
  const table = fc.record({
    rows: fc.array(fc.record({ values: fc.tuple(value, value), numBlank: fc.nat(2) }), { minLength: 1 }),
    end: fc.constantFrom("\n", "\r\n"),
  });
  const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  await fc.assert(
    fc.asyncProperty(table, async ({ rows, end }) => {
      let text = `a,b${end}`;
      const expected = rows.map(({ values: [a, b], numBlank }) => {
        text += end.repeat(numBlank);
        const index = text.split("\n").length - 1;
        text += `${quoted(a)},${quoted(b)}${end}`;
        return { source: join(folder, "x.csv"), index, fields: { a, b } };
      });
      expect(await load(text)).toEqual(expected);
    }),
    { numRuns: 200 },
  );
});

describe("lists of messages", () => {
  const cell = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const chosenOf = async (text: string) => (await fieldsOf(`chosen\n${cell(text)}\n`))[0]!.chosen;

  test.each([
    [[{ role: "user", content: "hi" }]],
    [
      [
        { from: "human", value: "hi" },
        { from: "gpt", value: "yes", weight: 1 },
      ],
    ],
  ])("%j", async (messages) => {
    expect(await chosenOf(JSON.stringify(messages))).toEqual(messages);
    expect(await chosenOf(` ${JSON.stringify(messages, null, 2)} `)).toEqual(messages);
  });

  test.each([
    '["role"]',
    '[{"a": 1}]',
    "[{",
    '{"role": "user", "content": "hi"}',
    "[]",
    "[{5}]",
    '[{"role": "user"}, 3]',
  ])("text all the same: %s", async (text) => expect(await chosenOf(text)).toBe(text));

  test.each(["[{'role': 'user', 'content': 'hi'}]", '[{"role": "user", "content": "hi"}', "[ {'from': 'human'"])(
    "neither the one nor the other: %s",
    async (text) => {
      await expect(chosenOf(text)).rejects.toThrow(DataError);
      await expect(chosenOf(text)).rejects.toThrow(
        /x\.csv:2: chosen: begins like a list of messages, but is not JSON: /,
      );
    },
  );
});

describe("faults are named with the line", () => {
  test.each([
    ["a,b\n1,2\n3\n", DataError, /x\.csv:3: has 1 field, expected as many as the header/],
    ["a,b\n1,2\n\n3,4,5\n", DataError, /x\.csv:4: has 3 fields, expected as many as the header/],
    ['a,b\r\n1,"x\r\ny"\r\n3,4,5\r\n', DataError, /x\.csv:4: has 3 fields/],
    ['a,b\n1,2\n3,"4\n5,6\n', DataError, /x\.csv:3: has a quote before field 2 that is never closed/],
    ['a,b\n1,x"y"\n', DataError, /x\.csv:2: has a quote inside of field 2, expected it doubled/],
    ['a,b\n1,"x"y\n', DataError, /x\.csv:2: has a quote inside of field 2/],
    ["a,b,a\n1,2,3\n", FileError, /x\.csv: names the column "a" twice in its header/],
    ["a,b\n", FileError, /x\.csv: holds no rows/],
    ["", FileError, /x\.csv: holds no rows/],
  ])("%j", async (text, kind, message) => {
    await expect(load(text)).rejects.toThrow(kind);
    await expect(load(text)).rejects.toThrow(message);
  });

  test("bytes that are not UTF-8", async () => {
    const bytes = Buffer.concat([Buffer.from('a,b\n1,"x\ny"\n3,'), Buffer.of(0xff), Buffer.from("\n")]);
    await expect(load(bytes)).rejects.toThrow(/x\.csv:4: is not UTF-8 text/);
  });

  test("a field that would be the rest of a large file", async () => {
    const bytes = Buffer.alloc(70 << 20, "x");
    bytes.write('a,b\n1,"');
    await expect(load(bytes)).rejects.toThrow(/x\.csv:2: has a field 2 of more than 67108864 bytes/);
  });
});
