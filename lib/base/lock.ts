import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { FileError } from "./errors.js";
import { removeStaleTemporaries, temporaryPath } from "./temporary.js";

/** A file that no other process may lock until it is released. */
export interface Lock {
  release(): Promise<void>;
}

/** Who holds a lock. `since` tells processes apart that had the same id one after the other, where the system knows it. */
interface Owner {
  readonly pid: number;
  readonly host: string;
  readonly since: string;
}

/**
 * Locks `path` among the processes that ask, by a folder with `.lock` behind its name. What a process of this machine left
 * behind that is gone is taken over. Throws FileError, with the id of the process, where one holds it.
 */
export async function lock(path: string): Promise<Lock> {
  const folder = `${path}.lock`;
  const own: Owner = { pid: process.pid, host: hostname(), since: await startOf(process.pid) };
  for (let ownerless = 0; !(await acquire(folder, own)); ) {
    const owner = await ownerOf(folder);
    if (owner === undefined) {
      if (++ownerless < MOST_OWNERLESS) continue; // released this instant
      throw new FileError(folder, "names no process, expected a lock; remove it if nothing uses it");
    }
    if (await isGone(owner)) await removeStale(folder, owner);
    else throw inUse(path, folder, owner, own);
  }
  return {
    async release() {
      if (isSame(await ownerOf(folder), own)) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Looks at a folder without an owner before it is taken for something else than a lock that is being released. */
const MOST_OWNERLESS = 20;

function inUse(path: string, folder: string, { pid, host }: Owner, own: Owner): FileError {
  if (host === own.host) return new FileError(path, `is in use by process ${pid}`);
  return new FileError(path, `is in use by process ${pid} of ${host}; if that is gone, remove ${folder}`);
}

/** The folder appears with its owner in it, or not at all: rename replaces nothing but an empty folder. */
async function acquire(folder: string, own: Owner): Promise<boolean> {
  await removeStaleTemporaries(folder, "partial");
  const made = temporaryPath(folder, "partial");
  try {
    await mkdir(made);
    const file = await open(`${made}/owner`, "wx");
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
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOTEMPTY" || code === "EEXIST") return false;
    throw new FileError(folder, `cannot be made: ${message}`, { cause });
  }
}

/** Moved aside before it is deleted, and put back if another process was quicker and the lock is now its own. */
async function removeStale(folder: string, owner: Owner): Promise<void> {
  const aside = temporaryPath(folder, "partial");
  try {
    await rename(folder, aside);
    if (!isSame(await ownerOf(aside), owner)) await rename(aside, folder);
  } catch (error) {
    if (!["ENOENT", "ENOTEMPTY", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
  await rm(aside, { recursive: true, force: true });
}

async function ownerOf(folder: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(`${folder}/owner`, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new FileError(folder, `is no lock: ${(error as Error).message}`, { cause: error });
  }
}

const isSame = (a: Owner | undefined, b: Owner): boolean =>
  a !== undefined && a.pid === b.pid && a.host === b.host && a.since === b.since;

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
