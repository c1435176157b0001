import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { copyFile, type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FileError } from "../../lib/base/errors.js";
import { makeFolder, recoverFolder, writeFileAtomic, writeFolderAtomic } from "../../lib/base/files.js";
import { temporaryPath } from "../../lib/base/temporary.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "westwind-files-"));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const text = (name: string) => readFileSync(join(folder, name), "utf8");
const bytes = (content: string) => new TextEncoder().encode(content);

/** Makes every write of a FileHandle behave as `write` does. */
async function mockWrite(write: FileHandle["write"]): Promise<void> {
  const handle = await open(join(folder, "probe"), "w");
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  rmSync(join(folder, "probe"));
  vi.spyOn(prototype, "write").mockImplementation(write);
}

/** The name that a process which is no more would have left. */
function ofDeadProcess(path: string): string {
  const dead = execFileSync(process.execPath, ["-p", "process.pid"], { encoding: "utf8" }).trim();
  return path.replace(`-${process.pid}-`, `-${dead}-`);
}

test("a file is written from a string, bytes and a stream, and replaced", async () => {
  const path = join(folder, "a.txt");
  await writeFileAtomic(path, "one");
  expect(text("a.txt")).toBe("one");
  await writeFileAtomic(path, bytes("two"));
  expect(text("a.txt")).toBe("two");
  await writeFileAtomic(
    path,
    (async function* () {
      yield bytes("thr");
      yield new Uint8Array();
      yield bytes("ee");
    })(),
  );
  expect(text("a.txt")).toBe("three");
  expect(readdirSync(folder)).toEqual(["a.txt"]);
});

test("writes that take only part of what they are given are continued", async () => {
  await mockWrite(async function (this: FileHandle, buffer: never, offset: number, length: number) {
    const some = Math.min(length, 3);
    const from = new Uint8Array(buffer).slice(offset, offset + some);
    await this.appendFile(from);
    return { bytesWritten: some, buffer };
  } as never);
  await writeFileAtomic(join(folder, "a.txt"), "twelve bytes");
  expect(text("a.txt")).toBe("twelve bytes");
});

test("a full disk leaves the old file and says what was needed and what is free", async () => {
  const path = join(folder, "a.txt");
  await writeFileAtomic(path, "old");
  await mockWrite(async () => {
    throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  });
  const failure = await writeFileAtomic(path, "new content").catch((error) => error);
  expect(failure).toBeInstanceOf(FileError);
  expect(failure.message).toMatch(
    /a\.txt: cannot be written: no space left on the disk: 11 bytes to write, \d+ bytes free; nothing was changed$/,
  );
  expect(text("a.txt")).toBe("old");
  expect(readdirSync(folder)).toEqual(["a.txt"]);
});

test("a target that cannot be is refused and nothing is left behind", async () => {
  const path = join(folder, "none", "a.txt");
  await expect(writeFileAtomic(path, "x")).rejects.toThrow(
    `${path}: cannot be written: its folder does not exist; nothing was changed`,
  );
  mkdirSync(join(folder, "sub"));
  writeFileSync(join(folder, "sub", "x"), "");
  await expect(writeFileAtomic(join(folder, "sub"), "x")).rejects.toThrow("is a folder");
  expect(readdirSync(folder)).toEqual(["sub"]);
});

test("a folder is made with those it lies in; what is there stays", async () => {
  const path = join(folder, "a", "b", "c");
  await makeFolder(path);
  writeFileSync(join(path, "file"), "");
  await Promise.all([makeFolder(path), makeFolder(join(folder, "x", "y")), makeFolder(join(folder, "x", "y"))]);
  expect(readdirSync(path)).toEqual(["file"]);
  expect(existsSync(join(folder, "x", "y"))).toBe(true);
  await expect(makeFolder(join(path, "file"))).rejects.toThrow(`${path}/file: cannot be made: a file is there`);
  await expect(makeFolder(join(path, "file", "d"))).rejects.toThrow(
    `${path}/file/d: cannot be made: part of the path is a file, not a folder`,
  );
});

test.runIf(process.platform === "linux")("where the file system takes no folders and no files", async () => {
  await expect(makeFolder("/proc/none/out")).rejects.toThrow(
    new FileError("/proc/none/out", "cannot be made: the file system there takes no folders"),
  );
  await expect(writeFileAtomic("/proc/none", "")).rejects.toThrow(
    "/proc/none: cannot be written: the file system there takes no files; nothing was changed",
  );
});

test("an error of the producer passes through and leaves the old file", async () => {
  const path = join(folder, "a.txt");
  await writeFileAtomic(path, "old");
  const mine = new RangeError("mine");
  const chunks = (async function* () {
    yield bytes("half");
    throw mine;
  })();
  await expect(writeFileAtomic(path, chunks)).rejects.toBe(mine);
  expect(text("a.txt")).toBe("old");
  expect(readdirSync(folder)).toEqual(["a.txt"]);
});

test("what dead runs left of this file is removed; what live ones write is not", async () => {
  const path = join(folder, "a.txt");
  const live = temporaryPath(path, "partial");
  const elsewhere = temporaryPath(path, "partial").replace(/partial-[0-9a-f]{8}/, "partial-00000000");
  const elsewhereOld = temporaryPath(path, "partial").replace(/partial-[0-9a-f]{8}/, "partial-00000000");
  const dead = ofDeadProcess(temporaryPath(path, "partial"));
  const unrelated = join(folder, ".a.txt.partial-notes");
  for (const name of [live, elsewhere, elsewhereOld, dead, unrelated]) writeFileSync(name, "half");
  utimesSync(elsewhereOld, 1, 1);
  await writeFileAtomic(path, "x");
  expect([live, elsewhere, elsewhereOld, dead, unrelated].map((name) => existsSync(name))).toEqual([
    true,
    true,
    false,
    false,
    true,
  ]);
});

test("a folder appears whole; an existing one is replaced only when asked", async () => {
  const path = join(folder, "result");
  await writeFolderAtomic(path, async (temporary) => {
    expect(existsSync(path)).toBe(false);
    mkdirSync(join(temporary, "deep"));
    writeFileSync(join(temporary, "deep", "a.txt"), "first", { mode: 0o444 });
  });
  expect(text("result/deep/a.txt")).toBe("first");

  const refused = writeFolderAtomic(path, async () => expect.unreachable());
  await expect(refused).rejects.toThrow(`${path}: exists, expected a new or empty folder; nothing was changed`);

  await writeFolderAtomic(
    path,
    async (temporary) => {
      writeFileSync(join(temporary, "b.txt"), "second");
      expect(text("result/deep/a.txt")).toBe("first");
    },
    { replace: true },
  );
  expect(readdirSync(path)).toEqual(["b.txt"]);
  expect(readdirSync(folder)).toEqual(["result"]);
});

test("an empty folder may be built over, a file may not", async () => {
  mkdirSync(join(folder, "empty"));
  await writeFolderAtomic(join(folder, "empty"), async (temporary) => writeFileSync(join(temporary, "a"), ""));
  expect(readdirSync(join(folder, "empty"))).toEqual(["a"]);
  writeFileSync(join(folder, "file"), "mine");
  await expect(writeFolderAtomic(join(folder, "file"), async () => undefined)).rejects.toThrow(FileError);
  expect(text("file")).toBe("mine");
});

test("a folder that fails to build leaves the old one", async () => {
  const path = join(folder, "result");
  await writeFolderAtomic(path, async (temporary) => writeFileSync(join(temporary, "a"), "old"));
  const mine = new Error("mine");
  const build = async (temporary: string) => {
    writeFileSync(join(temporary, "a"), "new");
    throw mine;
  };
  await expect(writeFolderAtomic(path, build, { replace: true })).rejects.toBe(mine);
  expect(text("result/a")).toBe("old");
  expect(readdirSync(folder)).toEqual(["result"]);
});

test("a crash between the two renames of a replacement is put right", async () => {
  const path = join(folder, "result");
  const aside = ofDeadProcess(temporaryPath(path, "replaced"));
  const partial = ofDeadProcess(temporaryPath(path, "partial"));
  mkdirSync(aside);
  mkdirSync(partial);
  writeFileSync(join(aside, "a"), "old");
  await recoverFolder(path);
  expect(readdirSync(folder)).toEqual(["result"]);
  expect(text("result/a")).toBe("old");

  mkdirSync(aside);
  await recoverFolder(path);
  expect(text("result/a")).toBe("old");
  expect(readdirSync(folder)).toEqual(["result"]);
});

test("what the system refuses a builder is told of the folder being made", async () => {
  const path = join(folder, "result");
  const failure = (build: (temporary: string) => Promise<void>) =>
    writeFolderAtomic(path, build).catch((error) => error);
  const missing = await failure((temporary) => copyFile(join(folder, "none"), join(temporary, "a")));
  expect(missing).toBeInstanceOf(FileError);
  expect(missing.message).toMatch(/result: cannot be written: ENOENT: .*none.*; nothing was changed$/);

  const nested = await failure((temporary) => writeFileAtomic(join(temporary, "none", "a"), "x"));
  expect(nested).toBeInstanceOf(FileError);
  expect(nested.message).toBe(`${path}/none/a: cannot be written: its folder does not exist; nothing was changed`);

  const full = await failure(async () => {
    throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" });
  });
  expect(full).toBeInstanceOf(FileError);
  expect(full.message).toMatch(
    /result: cannot be written: no space left on the disk: \d+ bytes free; nothing was changed$/,
  );
  expect(readdirSync(folder)).toEqual([]);
});
