import { type FileHandle, mkdir, open, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { FileError } from "./errors.js";
import { removeStaleTemporaries, staleTemporaries, temporaryPath } from "./temporary.js";

export type Chunks = Uint8Array | string | AsyncIterable<Uint8Array>;

/**
 * Writes a file whole or not at all: a hidden file beside it is filled, flushed to the disk and renamed into place.
 * `size` is how many bytes `chunks` will give, if known; it is only used to say what a full disk would have needed.
 * Throws FileError, after which `path` is what it was before; an error thrown by `chunks` itself passes through.
 */
export async function writeFileAtomic(path: string, chunks: Chunks, options: { size?: number } = {}): Promise<void> {
  const target = resolve(path);
  await removeStaleTemporaries(target, "partial");
  const temporary = temporaryPath(target, "partial");
  const content = typeof chunks === "string" ? Buffer.from(chunks) : chunks;
  const needed = content instanceof Uint8Array ? content.byteLength : options.size;

  try {
    const handle = await attempt(open(temporary, "wx"));
    try {
      if (content instanceof Uint8Array) await attempt(writeAll(handle, content));
      else for await (const chunk of content) await attempt(writeAll(handle, chunk));
      await attempt(handle.sync());
    } finally {
      await handle.close();
    }
    await attempt(rename(temporary, target));
  } catch (error) {
    await rm(temporary, { force: true });
    throw await explain(path, error, needed);
  }
  await syncFolder(dirname(target));
}

/**
 * Makes a folder and those it lies in, if they are not there. Throws FileError. Node's recursive mkdir never returns
 * where the file system takes no folders, as /proc.
 */
export async function makeFolder(path: string): Promise<void> {
  const missing: string[] = [];
  for (let at = resolve(path); !(await stat(at).catch(() => undefined)); at = dirname(at)) missing.push(at);
  try {
    for (const folder of missing.reverse()) await mkdir(folder).catch(unlessThere);
    if (!(await stat(path)).isDirectory()) throw new FileError(path, "cannot be made: a file is there");
  } catch (cause) {
    if (cause instanceof FileError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    const what = code === "ENOENT" ? "the file system there takes no folders" : (WHAT[code ?? ""] ?? message);
    throw new FileError(path, `cannot be made: ${what}`, { cause });
  }
}

/** Someone else made it in the meantime. */
function unlessThere(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}

/**
 * Writes a folder whole or not at all. `build` fills a hidden folder beside `path`; when it returns, every file is
 * flushed to the disk and the folder is renamed into place. A folder that is there and not empty is replaced only
 * with `replace`, and kept until the new one is complete. Throws FileError, also for what the system refused to `build`;
 * any other error of `build` passes through.
 */
export async function writeFolderAtomic(
  path: string,
  build: (temporaryFolder: string) => Promise<void>,
  options: { replace?: boolean } = {},
): Promise<void> {
  const target = resolve(path);
  await recoverFolder(target);
  const refuse = async (): Promise<void> => {
    if (options.replace !== true && !(await attempt(isFree(target)))) {
      throw new FileError(path, "exists, expected a new or empty folder; nothing was changed");
    }
  };

  const temporary = temporaryPath(target, "partial");
  try {
    await refuse();
    await attempt(mkdir(temporary));
    await build(temporary);
    await attempt(syncTree(temporary));
    await refuse(); // someone may have made it while `build` worked
    await attempt(moveIntoPlace(temporary, target));
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw await explain(path, outward(error, temporary, path));
  }
  await syncFolder(dirname(target));
}

/**
 * Puts a folder in order after a crash: partial ones are removed, and one that had been moved aside to be replaced is
 * moved back if the replacement did not arrive. Only what a process that is gone left behind is touched.
 */
export async function recoverFolder(path: string): Promise<void> {
  const target = resolve(path);
  for (const aside of await staleTemporaries(target, "replaced")) {
    if (await stat(target).catch(() => undefined)) await rm(aside, { recursive: true, force: true });
    else await rename(aside, target);
  }
  await removeStaleTemporaries(target, "partial");
}

async function moveIntoPlace(temporary: string, target: string): Promise<void> {
  if (await isFree(target)) return rename(temporary, target);
  const aside = temporaryPath(target, "replaced");
  await rename(target, aside);
  try {
    await rename(temporary, target);
  } catch (error) {
    await rename(aside, target);
    throw error;
  }
  await rm(aside, { recursive: true, force: true });
}

/** Whether `path` is not there, or is an empty folder, which a rename may take the place of. */
async function isFree(path: string): Promise<boolean> {
  try {
    return (await readdir(path)).length === 0;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return true;
    if (code === "ENOTDIR") return false;
    throw error;
  }
}

// One write takes at most 2^31 - 1 bytes, and may take less than it was given.
const WRITE_BYTES = 1 << 26;

/** Writes all of `bytes`, where the file stands or at `position`. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, position?: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) {
    const length = Math.min(WRITE_BYTES, bytes.byteLength - at);
    const { bytesWritten } = await handle.write(bytes, at, length, position === undefined ? null : position + at);
    at += bytesWritten;
  }
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) await syncPath(path, process.platform === "win32" ? "r+" : "r");
  }
  await syncFolder(folder);
}

/** Makes a rename last through a power cut, where the file system can do that. */
export async function syncFolder(folder: string): Promise<void> {
  await syncPath(folder, "r").catch(() => undefined);
}

async function syncPath(path: string, flags: string): Promise<void> {
  const handle = await open(path, flags);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const WHAT: Record<string, string> = {
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EROFS: "the file system is read-only",
  ENOENT: "its folder does not exist",
  ENOTDIR: "part of the path is a file, not a folder",
  EISDIR: "is a folder",
  ENOTEMPTY: "is a folder that is not empty",
  EFBIG: "larger than the system lets a file be",
  EDQUOT: "the disk quota is used up",
  ENAMETOOLONG: "the name is too long",
};

/** Marks what the system refused, so that an error of the caller's own code is never mistaken for it. */
class Refused {
  constructor(readonly cause: NodeJS.ErrnoException) {}
}

function attempt<T>(work: Promise<T>): Promise<T> {
  return work.catch((error) => {
    throw new Refused(error);
  });
}

/** An error of a folder's builder, told of the folder that is being made and not of the hidden one. */
function outward(error: unknown, temporary: string, path: string): unknown {
  if (error instanceof FileError && error.path.startsWith(temporary)) {
    const fact = error.message.slice(error.path.length + 2);
    return new FileError(path + error.path.slice(temporary.length), fact, { cause: error });
  }
  const { code, syscall, message } = (error ?? {}) as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error;
  if (/^(?:ENOSPC|EDQUOT|EFBIG)$/.test(code)) return new Refused(error as NodeJS.ErrnoException);
  return new FileError(path, `cannot be written: ${message}; nothing was changed`, { cause: error });
}

async function explain(path: string, error: unknown, needed?: number): Promise<unknown> {
  if (!(error instanceof Refused)) return error;
  const what = await whatWasRefused(path, error.cause, needed);
  return new FileError(path, `cannot be written: ${what}; nothing was changed`, { cause: error.cause });
}

/** In words, why the system did not let `path` be written. `needed`: the bytes it would have taken. */
export async function whatWasRefused(path: string, cause: NodeJS.ErrnoException, needed?: number): Promise<string> {
  let what = WHAT[cause.code ?? ""] ?? cause.message;
  if (cause.code === "ENOENT" && (await stat(dirname(resolve(path))).catch(() => undefined))) {
    what = "the file system there takes no files";
  } else if (cause.code === "ENOSPC") {
    what = `no space left on the disk: ${needed === undefined ? "" : `${needed} bytes to write, `}`;
    const volume = await statfs(dirname(resolve(path))).catch(() => undefined);
    what += volume === undefined ? "free space unknown" : `${volume.bavail * volume.bsize} bytes free`;
  }
  return what;
}
