import { mkdir, open, readdir, readFile, rename, rm, rmdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { FileError } from "./errors.js";
import { whatWasRefused } from "./files.js";
import { ownTag, removeStaleTemporaries, temporaryPath } from "./temporary.js";

/** A file that no other process may lock until it is disposed of. */
export type Lock = AsyncDisposable;

/** Who holds a lock. `since` tells processes apart that had the same id one after the other, where the system knows it. */
interface Owner {
  readonly pid: number;
  readonly host: string;
  readonly since: string;
}

/**
 * Locks `path` among the processes that ask, by a folder with `.lock` behind its name. What a process of this machine left
 * behind that is gone is taken over. Throws FileError, with the id of the process, where one holds it.
 *
 * Who holds it is told by the folder's one file, whose name no two locks share. A lock is taken by the rename of a filled
 * folder to that place, which the system lets happen only where there is nothing, or an empty folder: of any number that try,
 * one. A stale lock is emptied by removing the file that was found to be of the dead, by its name. Whoever comes late with
 * that finds nothing to remove, whatever others did in between: so no step of anyone changes a lock that somebody holds.
 */
export async function lock(path: string): Promise<Lock> {
  const folder = `${path}.lock`;
  const own: Owner = { pid: process.pid, host: hostname(), since: await startOf(process.pid) };
  const name = ownTag();
  while (!(await acquire(folder, name, own))) {
    const found = await holderOf(folder);
    if (found === undefined) continue; // released this instant
    if (!(await isGone(found.owner))) throw inUse(path, folder, found.owner, own);
    await rm(join(folder, found.name), { force: true });
  }
  return {
    async [Symbol.asyncDispose]() {
      await rm(join(folder, name), { force: true });
      await rmdir(folder).catch(() => undefined); // somebody's by now
    },
  };
}

function inUse(path: string, folder: string, { pid, host }: Owner, own: Owner): FileError {
  if (host === own.host) return new FileError(path, `is in use by process ${pid}`);
  return new FileError(path, `is in use by process ${pid} of ${host}; if that is gone, remove ${folder}`);
}

/** The folder appears with its owner in it, or not at all: rename replaces nothing but an empty folder. */
async function acquire(folder: string, name: string, own: Owner): Promise<boolean> {
  await removeStaleTemporaries(folder, "partial");
  const made = temporaryPath(folder, "partial");
  try {
    await mkdir(made);
    const file = await open(join(made, name), "wx");
    try {
      await file.writeFile(JSON.stringify(own));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(made, folder);
    return true;
  } catch (cause) {
    await rm(made, { recursive: true, force: true });
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOTEMPTY" || code === "EEXIST") return false;
    const what = await whatWasRefused(folder, cause as NodeJS.ErrnoException);
    throw new FileError(folder, `cannot be made: ${what}`, { cause });
  }
}

/** Who holds a lock, and the name of the file that tells it; undefined where nobody does. */
async function holderOf(folder: string): Promise<{ readonly name: string; readonly owner: Owner } | undefined> {
  try {
    const [name] = await readdir(folder);
    if (name === undefined) return undefined;
    const owner: Partial<Owner> | null = JSON.parse(await readFile(join(folder, name), "utf8"));
    if (typeof owner?.pid === "number" && typeof owner.host === "string") return { name, owner: owner as Owner };
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    if (code !== undefined && code !== "EISDIR") throw new FileError(folder, `cannot be read: ${message}`, { cause });
  }
  throw new FileError(folder, "names no process, expected a lock; remove it if nothing uses it");
}

/** Whether the process is known to run no more. Of another machine's that cannot be known. */
async function isGone({ pid, host, since }: Owner): Promise<boolean> {
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return true;
  }
  return (await startOf(pid)) !== since;
}

/** When a process began, by the boot of the machine and its clock; empty where the system does not tell. */
async function startOf(pid: number): Promise<string> {
  try {
    const [boot, stat] = await Promise.all([
      readFile("/proc/sys/kernel/random/boot_id", "utf8"),
      readFile(`/proc/${pid}/stat`, "utf8"),
    ]);
    const [state, ...fields] = stat.replace(/^.*\) /s, "").split(" "); // after the name, which may hold anything
    return state === "Z" ? "ended" : `${boot.trim()} ${fields[18]}`;
  } catch {
    return "";
  }
}
