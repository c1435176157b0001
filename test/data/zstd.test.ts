import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileError, WestwindError } from "../../lib/base/errors.js";
import { loadRows } from "../../lib/data/source.js";
import { unzstd } from "../../lib/data/zstd.js";
import { storedZstd } from "./zstd.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zstd-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function load(bytes: Uint8Array) {
  const path = join(folder, "x.jsonl.zst");
  await writeFile(path, bytes);
  return (await loadRows(path)).map(({ fields }) => fields);
}

/** What the program `zstd` makes of a pipe: a checksum, and no size. */
const checked = Buffer.from(
  "KLUv/QRYFQIABAN7ImEiOiAxLCAidGV4dCI6ICJ0aGUgY2F0IHNhdCBvbiB0aGUgbWF0In0KMjM0NTYGAAEpAXQBxAJIAnjnBlUGWkenkg==",
  "base64",
);
const rows = [1, 2, 3, 4, 5, 6].map((a) => ({ a, text: "the cat sat on the mat" }));

const little = (value: number, bytes: number): Buffer => {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntLE(value, 0, bytes);
  return buffer;
};
const MAGIC = little(0xfd2fb528, 4);
const line = Buffer.from('{"a": 1}\n');
const stored = (bytes: Uint8Array) => Buffer.concat([little((bytes.length << 3) | 1, 3), bytes]); // the last block

test("a frame with a checksum, and others about it", async () => {
  expect(await load(checked)).toEqual(rows);
  const skipped = Buffer.concat([little(0x184d2a53, 4), little(7, 4), Buffer.from("ignored")]);
  expect(await load(Buffer.concat([skipped, checked, storedZstd(line), skipped, checked]))).toEqual([
    ...rows,
    { a: 1 },
    ...rows,
  ]);
});

test("wherever a byte of a frame with a checksum is wrong, other rows are not given", async () => {
  for (let at = 0; at < checked.length; at++) {
    for (const change of [1, 0x80, 0xff]) {
      const damaged = Buffer.from(checked);
      damaged[at]! ^= change;
      const outcome = await load(damaged).catch((error) => error);
      if (!(outcome instanceof WestwindError)) expect(outcome).toEqual(rows);
    }
  }
});

test("wherever a file ends early, it is said", async () => {
  for (let end = 1; end < checked.length; end++) {
    await expect(load(checked.subarray(0, end))).rejects.toThrow(/x\.jsonl\.zst: is not whole zstd: /);
  }
});

describe("what is refused", () => {
  test.each([
    [
      "a wrong checksum",
      Buffer.concat([checked.subarray(0, -4), little(5, 4)]),
      /a frame has the checksum \d+, expect/,
    ],
    [
      "a wrong size",
      Buffer.concat([MAGIC, Buffer.of(0x80, 0x38), little(8, 4), stored(line)]),
      "a frame holds 9 bytes, expected 8",
    ],
    ["a dictionary", Buffer.concat([MAGIC, Buffer.of(0x21, 5, 9), stored(line)]), "it is packed with a dictionary"],
    [
      "a window of 2 GiB",
      Buffer.concat([MAGIC, Buffer.of(0x00, (31 - 10) << 3), stored(line)]),
      "it needs a window of 2147483648 bytes, expected 134217728 at most",
    ],
    [
      "a frame of 1 GiB in one piece",
      Buffer.concat([MAGIC, Buffer.of(0xa0), little(2 ** 30, 4), stored(line)]),
      "it needs a window of 1073741824 bytes",
    ],
    [
      "a larger block",
      Buffer.concat([MAGIC, Buffer.of(0x00, 0x38), little((200_000 << 3) | 3, 3), line]),
      "200000 bytes",
    ],
    [
      "bytes behind",
      Buffer.concat([checked, Buffer.from("more")]),
      "it has 6d6f7265 where a frame begins, expected 28",
    ],
  ])("%s", async (_, bytes, message) => {
    await expect(load(bytes)).rejects.toThrow(FileError);
    await expect(load(bytes)).rejects.toThrow(message);
  });
});

// 64 KiB of such blocks are 2 GiB.
test("blocks that are one byte again and again come one at a time", async () => {
  const block = Buffer.concat([little((131_072 << 3) | 2, 3), Buffer.from("x")]);
  const bytes = Buffer.concat([MAGIC, Buffer.of(0x00, 0x38), ...Array.from({ length: 1000 }, () => block)]);
  let taken = 0;
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += 8) {
      taken++;
      yield bytes.subarray(at, at + 8);
    }
  }
  for await (const piece of unzstd(pieces())) {
    expect(piece.length).toBe(131_072);
    break;
  }
  expect(taken).toBeLessThan(5);
});
