import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DataError, FileError } from "../../lib/base/errors.js";
import { loadRows, readRawRows, readRows } from "../../lib/data/source.js";
import { writeRows } from "../../lib/data/write_rows.js";
import { storedZstd } from "./zstd.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "source-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, content);
  return path;
}
const shown = async (path: string, options = {}) =>
  (await loadRows(path, options)).map(({ source, index, fields }) => [
    source.slice(folder.length + 1),
    index,
    fields.a,
  ]);

test("JSON lines, with a byte order mark, Windows ends, blank lines and no last newline", async () => {
  const path = await file("x.jsonl", '\uFEFF{"a": "é"}\r\n\r\n  \n{"a": 2}\n{"a": 3}');
  expect(await shown(path)).toEqual([
    ["x.jsonl", 0, "é"],
    ["x.jsonl", 3, 2],
    ["x.jsonl", 4, 3],
  ]);
});

test("lines across the chunks of a large file", async () => {
  const rows = Array.from({ length: 3000 }, (_, i) => ({ a: i, text: "日本🙂".repeat(i % 40) }));
  const text = rows.map((row) => JSON.stringify(row)).join("\n");
  const packed = [await file("x.jsonl.gz", gzipSync(text)), await file("x.jsonl.zst", storedZstd(Buffer.from(text)))];
  for (const path of [await file("x.jsonl", text), ...packed]) {
    expect((await loadRows(path)).map(({ fields }) => fields)).toEqual(rows);
  }
});

test("what Zstandard itself has packed, in two frames", async () => {
  const rows = Array.from({ length: 3000 }, (_, i) => ({ a: i, text: `${"日本🙂".repeat(i % 40)}${i * i}` }));
  expect((await loadRows("test/golden/lines.jsonl.zst")).map(({ fields }) => fields)).toEqual(rows);
});

test("packed files are unpacked as they are read", async () => {
  const text = Array.from({ length: 20_000 }, (_, i) => `{"a": "${Math.sin(i)}"}\n`).join("");
  for (const [kind, packed] of [
    ["gz", gzipSync(text)],
    ["zst", storedZstd(Buffer.from(text))],
  ] as const) {
    const path = await file(`x.jsonl.${kind}`, packed.subarray(0, packed.length / 2));
    expect(await loadRows(path, { limit: 9 })).toHaveLength(9);
    await expect(loadRows(path)).rejects.toThrow(FileError);
  }
});

test("every kind of file gives the same rows", async () => {
  const rows = Array.from({ length: 50 }, (_, i) => ({
    prompt: `say "${i}", é日🙂\nor not`,
    chosen: [{ role: "user", content: `${i}` }],
    text: i % 7 === 0 ? "" : `[{${i}`,
  }));
  const lines = rows.map((row) => JSON.stringify(row)).join("\n");
  const array = JSON.stringify(rows, null, 2);
  const quoted = (value: unknown) =>
    `"${(typeof value === "string" ? value : JSON.stringify(value)).replaceAll('"', '""')}"`;
  const csv = ["prompt,chosen,text", ...rows.map((row) => Object.values(row).map(quoted).join(","))].join("\n");
  const texts = { jsonl: lines, ndjson: lines, json: array, csv };
  for (const [kind, text] of Object.entries(texts)) {
    for (const path of [
      await file(`x.${kind}`, text),
      await file(`x.${kind}.gz`, gzipSync(text)),
      await file(`x.${kind}.zst`, storedZstd(Buffer.from(text))),
    ]) {
      expect((await loadRows(path)).map(({ fields }) => fields)).toEqual(rows);
    }
  }
  await writeRows(join(folder, "x.parquet"), rows);
  expect((await loadRows(join(folder, "x.parquet"))).map(({ fields }) => fields)).toEqual(rows);
});

test("rows are handed over before they are parsed", async () => {
  const rows: string[] = [];
  for await (const { bytes } of readRawRows(await file("x.jsonl", '{"a": 1 }\n\n{no JSON\n'))) {
    rows.push(Buffer.from(bytes).toString());
  }
  expect(rows).toEqual(['{"a": 1 }', "{no JSON"]);
});

describe("columns", () => {
  const columns = ["b", "a"];

  test.each(["x.jsonl", "x.parquet"])("%s", async (name) => {
    const path = join(folder, name);
    await writeRows(path, [{ a: 1, b: "x", c: null }]);
    const [row] = await loadRows(path, { columns });
    expect(Object.entries(row!.fields)).toEqual([
      ["b", "x"],
      ["a", 1],
    ]);
    const wrong = loadRows(path, { columns: ["b", "nope"] });
    await expect(wrong).rejects.toThrow(/has no column "nope", expected all of b, nope; found a, b, c/);
  });
});

test("a JSON array", async () => {
  expect(await shown(await file("x.json", '[{"a": 1}, {"a": 2}]'))).toEqual([
    ["x.json", 0, 1],
    ["x.json", 1, 2],
  ]);
});

test("a limit, and a reader that stops early", async () => {
  const path = await file("x.jsonl", '{"a": 1}\n{"a": 2}\nnot read');
  expect(await shown(path, { limit: 2 })).toHaveLength(2);
  for await (const row of readRows(path)) {
    expect(row.fields.a).toBe(1);
    break;
  }
});

describe("folders", () => {
  test("a split's shards in order, before files that only begin like it", async () => {
    await file("train-00001-of-00002.jsonl", '{"a": 2}');
    await file("train-00000-of-00002.jsonl", '{"a": 1}');
    await file("train_other.jsonl", '{"a": 9}');
    await file("validation.json", '[{"a": 3}]');
    await file("readme.md", "no data");
    expect((await shown(folder)).map(([, , a]) => a)).toEqual([1, 2]);
    expect((await shown(folder, { split: "train_other" })).map(([, , a]) => a)).toEqual([9]);
    expect((await shown(folder, { split: "test" })).map(([, , a]) => a)).toEqual([3]);
  });

  test("a file that begins like the split, and a folder named data", async () => {
    await file("data/train_prefs-00000.jsonl.gz", gzipSync('{"a": 1}'));
    expect((await shown(folder)).map(([name, , a]) => [name, a])).toEqual([["data/train_prefs-00000.jsonl.gz", 1]]);
  });

  test("no file for the split", async () => {
    await file("train.jsonl", '{"a": 1}');
    await expect(loadRows(folder, { split: "dev" })).rejects.toThrow(
      'has no file for the split "dev": found train.jsonl',
    );
    await expect(loadRows(await mkdtemp(join(folder, "empty-")))).rejects.toThrow(/found no \.jsonl/);
  });
});

describe("what cannot be read is named", () => {
  test.each([
    ['{"a": 1}\n{"a": \n', DataError, /x\.jsonl:2: is not JSON: .*expected one object a line/],
    ['{"a": 1}\n\n[1]\n', DataError, "x.jsonl:3: holds an array, expected an object of fields"],
    ["7\n", DataError, "x.jsonl:1: holds a number"],
    ["null\n", DataError, "x.jsonl:1: holds null"],
    ["\n \n", FileError, "x.jsonl: holds no rows, expected at least one"],
    ["", FileError, "holds no rows"],
  ])("%j", async (content, kind, message) => {
    const path = await file("x.jsonl", content);
    await expect(loadRows(path)).rejects.toThrow(kind);
    await expect(loadRows(path)).rejects.toThrow(message);
  });

  test("bytes that are not UTF-8", async () => {
    const path = await file(
      "x.jsonl",
      Buffer.concat([Buffer.from('{"a": 1}\n{"a": "'), Buffer.of(0xff, 0xfe, 0x22, 0x7d)]),
    );
    await expect(loadRows(path)).rejects.toThrow("x.jsonl:2: is not UTF-8 text");
  });

  const MOST = "has more than 67108864 bytes, the most that a row may have";

  test.each([
    ["x.jsonl", '{"a": 1}\n{"a": "', "x", `x.jsonl:2: ${MOST}`],
    ["x.jsonl.gz", '{"a": 1}\n{"a": "', "x", `x.jsonl.gz:2: ${MOST}`],
    ["x.json", '[{"a": 1}, {"a": "', "x", `x.json:2: ${MOST}`],
    ["x.csv", 'a\n"', `${"x".repeat(35 << 20)}","`, `x.csv:2: ${MOST}`],
    ["x.csv", "a\n1\n", ",", "x.csv:3: has more than 65536 fields"],
  ])("a row without an end in %s", async (name, begin, more, message) => {
    const text = `${begin}${more.repeat((90 << 20) / more.length)}`;
    const failed = loadRows(await file(name, name.endsWith(".gz") ? gzipSync(text, { level: 1 }) : text));
    await expect(failed).rejects.toThrow(DataError);
    await expect(failed).rejects.toThrow(message);
  });

  test("files", async () => {
    await expect(loadRows(join(folder, "nope.jsonl"))).rejects.toThrow(/nope\.jsonl: is missing, expected/);
    await expect(loadRows(await file("x.arrow", ""))).rejects.toThrow(
      /is of a kind that is not read, expected \.jsonl,/,
    );
    await expect(loadRows(await file("x.jsonl.bz2", ""))).rejects.toThrow(/is of a kind that is not read/);
    await expect(loadRows(await file("x.json", '{"a": 1}'))).rejects.toThrow(
      "holds an object, expected an array of rows",
    );
    await expect(loadRows(await file("y.json", '{"a": 1}\n{"a": 2}'))).rejects.toThrow(
      /JSON lines belong in a \.jsonl file/,
    );
    await expect(loadRows(await file("z.json", "[5]"))).rejects.toThrow("z.json:1: holds a number");
    const cut = gzipSync('{"a": 1}\n'.repeat(1000)).subarray(0, 30);
    await expect(loadRows(await file("x.jsonl.gz", cut))).rejects.toThrow(FileError);
    await expect(loadRows(await file("y.jsonl.gz", "plain"))).rejects.toThrow(/is not whole gzip/);
    const packed = storedZstd(Buffer.from('{"a": 1}\n'.repeat(1000)));
    await expect(loadRows(await file("x.jsonl.zst", packed.subarray(0, 500)))).rejects.toThrow(FileError);
    await expect(loadRows(await file("y.csv.zst", "a,b\n1,2\n".repeat(9)))).rejects.toThrow(
      /y\.csv\.zst: is not whole zstd: it has 612c620a where a frame begins/,
    );
  });
});
