import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";

import { FileError } from "../../lib/base/errors.js";
import { Journal } from "../../lib/feedback/journal.js";
import { refusal, temporaryFolder } from "../run/collect.js";

interface Note {
  readonly n: number;
  readonly text?: string;
}

const folder = temporaryFolder();
let numFiles = 0;
const newPath = (): string => join(folder, `${numFiles++}.journal`);
const linesOf = (path: string): unknown[] =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

async function write(path: string, notes: readonly Note[], origin: object = { seed: 1 }): Promise<void> {
  const journal = await Journal.open<Note>(path, origin as Record<string, unknown>);
  await Promise.all(notes.map((note) => journal.append(note)));
  await journal.close();
}

const read = (path: string, origin: Record<string, unknown> = { seed: 1 }) => Journal.read<Note>(path, origin);

afterEach(() => vi.restoreAllMocks());

test("what was appended is there when it is opened again, behind its origin", async () => {
  const path = newPath();
  await write(path, [{ n: 1 }, { n: 2, text: "a\nb\u2028" }]);
  await write(path, [{ n: 3 }]);
  expect(linesOf(path)).toEqual([{ origin: { seed: 1 } }, { n: 1 }, { n: 2, text: "a\nb\u2028" }, { n: 3 }]);
  expect(await read(path)).toEqual([{ n: 1 }, { n: 2, text: "a\nb\u2028" }, { n: 3 }]);
  expect(readdirSync(folder).filter((name) => name.includes("lock"))).toEqual([]);
});

test("reading one that is not there finds nothing and makes nothing", async () => {
  const path = newPath();
  expect(await read(path)).toEqual([]);
  expect(existsSync(path)).toBe(false);
});

test("records are told of when they are on the disk, many flushes as one", async () => {
  const path = newPath();
  const journal = await Journal.open<Note>(path, {});
  const flushes = vi.spyOn(await fileHandle(), "datasync");
  let isSynced = false;
  const first = journal.append({ n: 0 }).then(() => {
    isSynced = true;
  });
  expect([journal.records.length, isSynced]).toEqual([0, false]);
  await first;
  expect([journal.records.length, flushes.mock.calls.length]).toEqual([1, 1]);
  await Promise.all(Array.from({ length: 100 }, (_, n) => journal.append({ n })));
  expect([journal.records.length, flushes.mock.calls.length]).toEqual([101, 2]);
  await journal.close();
});

test("whatever part of it was written, whole lines are kept and the rest is cut off", async () => {
  const path = newPath();
  const notes = [{ n: 1, text: "Grüße\u{1F600}" }, { n: 2 }, { n: 3, text: "x" }];
  await write(path, notes);
  const whole = readFileSync(path);
  const ends = [...whole.keys()].filter((at) => whole[at] === 0x0a);
  for (let length = 0; length <= whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    const kept = notes.slice(0, Math.max(0, ends.filter((end) => end < length).length - 1));
    expect(await read(path)).toEqual(kept);
    const journal = await Journal.open<Note>(path, { seed: 1 });
    expect(journal.records).toEqual(kept);
    await journal.append({ n: 9 });
    await journal.close();
    const lines = [{ origin: { seed: 1 } }, ...kept, { n: 9 }].map((line) => `${JSON.stringify(line)}\n`);
    expect(readFileSync(path, "utf8")).toBe(lines.join(""));
  }
});

test("any records come back as they were", async () => {
  const note = fc.record({ n: fc.integer(), text: fc.string({ unit: "binary", maxLength: 200 }) });
  const check = fc.asyncProperty(fc.array(note), fc.array(note), async (before, after) => {
    const path = newPath();
    await write(path, before);
    await write(path, after);
    expect(await read(path)).toEqual([...before, ...after]);
  });
  await fc.assert(check, { numRuns: 15 });
});

describe("another origin is refused, with the key", () => {
  const origin = { seed: 1, models: [{ name: "a" }, { name: "b", temperature: 1 }], principles: { kind: 1 } };

  test.each<[string, object, string]>([
    ["a value", { ...origin, seed: 2 }, "seed: 2, expected 1"],
    [
      "one within",
      { ...origin, models: [{ name: "a" }, { name: "b", temperature: 0.5 }] },
      "models.1.temperature: 0.5, expected 1",
    ],
    ["one more", { ...origin, principles: { kind: 1, brief: 2 } }, "principles.brief: 2, expected not set"],
    ["one less", { seed: 1, models: origin.models }, 'principles: not set, expected {"kind":1}'],
    ["one model more", { ...origin, models: [...origin.models, "c"] }, 'models.2: "c", expected not set'],
    [
      "another kind",
      { ...origin, models: { name: "a" } },
      'models: {"name":"a"}, expected [{"name":"a"},{"name":"b","temperature":1}]',
    ],
  ])("%s", async (_, other, message) => {
    const path = newPath();
    await write(path, [{ n: 1 }], origin);
    const before = readFileSync(path, "utf8");
    const expected = `ConfigError: ${message}, with which the records of ${path} were made`;
    expect(await refusal(write(path, [], other))).toBe(expected);
    expect(await refusal(read(path, other as Record<string, unknown>))).toBe(expected);
    expect(readFileSync(path, "utf8")).toBe(before);
    await write(path, [], { principles: { kind: 1 }, seed: 1, models: origin.models, none: undefined }); // in any order
  });
});

test("a file that is no journal is left as it is", async () => {
  for (const text of ['{"mine": 1}\n', "mine", '{"originals":1}\n', "\n"]) {
    const path = newPath();
    writeFileSync(path, text);
    expect(await refusal(write(path, [{ n: 1 }]))).toBe(
      `FileError: ${path}: is there and is no journal of westwind, expected no such file`,
    );
    expect(readFileSync(path, "utf8")).toBe(text);
  }
  expect(await refusal(write(join(folder, "none/x.journal"), []))).toMatch(
    /^FileError: .*none\/x\.journal\.lock: cannot be made/,
  );
});

test("a damaged line is named, and nothing is lost of the others", async () => {
  const path = newPath();
  writeFileSync(path, '{"origin":{"seed":1}}\n{"n":1}\n{"n"\n{"n":3}\n');
  const before = readFileSync(path, "utf8");
  expect(await refusal(write(path, [{ n: 4 }]))).toMatch(/^FileError: .*: line 3 is damaged: .*; without that line/);
  expect(readFileSync(path, "utf8")).toBe(before);
});

describe("one process at a time", () => {
  test("has it open", async () => {
    const path = newPath();
    const journal = await Journal.open<Note>(path, {});
    expect(await refusal(Journal.open(path, {}))).toBe(`FileError: ${path}: is in use by process ${process.pid}`);
    expect(await read(path, {})).toEqual([]);
    await journal.close();
    await write(path, [{ n: 1 }], {});
  });

  const lockOf = (path: string, owner: object): void => {
    mkdirSync(`${path}.lock`);
    writeFileSync(`${path}.lock/owner`, JSON.stringify(owner));
  };

  test("and the lock of one that is gone is taken over", async () => {
    const gone = spawn(process.execPath, ["-e", ""]);
    await new Promise((resolve) => gone.on("close", resolve));
    const owners = [
      { pid: gone.pid, host: hostname(), since: "x" },
      { pid: process.pid, host: hostname(), since: "another boot" }, // the id is in use again
    ];
    for (const owner of owners) {
      const path = newPath();
      lockOf(path, owner);
      await write(path, [{ n: 1 }]);
      expect(existsSync(`${path}.lock`)).toBe(false);
    }
    const path = newPath();
    mkdirSync(`${path}.lock`); // released in part
    await write(path, [{ n: 1 }]);
  });

  test("while one on another machine is believed", async () => {
    const path = newPath();
    lockOf(path, { pid: 1, host: "elsewhere", since: "" });
    expect(await refusal(write(path, []))).toBe(
      `FileError: ${path}: is in use by process 1 of elsewhere; if that is gone, remove ${path}.lock`,
    );
  });

  test("and a folder that is no lock is refused, not waited for", async () => {
    const path = newPath();
    mkdirSync(`${path}.lock`);
    writeFileSync(`${path}.lock/notes.txt`, "mine");
    expect(await refusal(write(path, []))).toMatch(/\.lock: names no process, expected a lock/);
    expect(existsSync(`${path}.lock/notes.txt`)).toBe(true);
  });

  test("of many that find a lock of the dead, one takes it", async () => {
    for (let round = 0; round < 10; round++) {
      const path = newPath();
      lockOf(path, { pid: 2 ** 22 + 1, host: hostname(), since: "" });
      const all = await Promise.allSettled(Array.from({ length: 8 }, () => Journal.open<Note>(path, {})));
      const opened = all.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
      expect(opened.length).toBe(1);
      await opened[0]!.close();
    }
  });
});

describe("a disk that is full", () => {
  test("is an error for what was not written; what was is whole, and can be gone on with", async () => {
    const path = newPath();
    const journal = await Journal.open<Note>(path, { seed: 1 });
    await journal.append({ n: 1 });
    const handle = await fileHandle();
    const { write: original } = handle;
    let room = 20;
    vi.spyOn(handle, "write").mockImplementation(async function (this: FileHandle, buffer: never, ...rest: never[]) {
      const [offset, length, position] = rest as unknown as [number, number, number];
      if (length <= room) {
        room -= length;
        return await Reflect.apply(original, this, [buffer, offset, length, position]);
      }
      await Reflect.apply(original, this, [buffer, offset, 5, position]); // a part of it fits
      throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    } as never);
    const all = [2, 3, 4, 5].map((n) => journal.append({ n })); // of 8 bytes each
    const settled = await Promise.allSettled(all);
    expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected", "rejected"]);
    const { reason } = settled[3] as PromiseRejectedResult;
    expect(reason).toBeInstanceOf(FileError);
    expect(reason.message).toMatch(
      /\.journal: cannot be written: no space left on the disk: 8 bytes to write, \d+ bytes free; the 3 records in it are whole$/,
    );
    vi.restoreAllMocks();
    expect(linesOf(path)).toEqual([{ origin: { seed: 1 } }, { n: 1 }, { n: 2 }, { n: 3 }]);
    expect(await refusal(journal.append({ n: 6 }))).toContain("no space left");
    await journal.close();
    await write(path, [{ n: 7 }]);
    expect((await read(path)).map(({ n }) => n)).toEqual([1, 2, 3, 7]);
  });

  test("from the beginning leaves no lock", async () => {
    const path = newPath();
    const handle = await fileHandle();
    vi.spyOn(handle, "datasync").mockRejectedValue(Object.assign(new Error("EDQUOT"), { code: "EDQUOT" }));
    expect(await refusal(write(path, []))).toBe(`FileError: ${path}: cannot be written: the disk quota is used up`);
    expect(existsSync(`${path}.lock`)).toBe(false);
  });
});

/** What all file handles have in common. */
async function fileHandle(): Promise<FileHandle> {
  const file = await open(join(folder, "any"), "w");
  await file.close();
  return Object.getPrototypeOf(file);
}
