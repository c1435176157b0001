import { open, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { FileError } from "../base/errors.js";
import { syncFolder, whatWasRefused } from "../base/files.js";
import { isTag, isTagGone, ownTag } from "../base/temporary.js";

// <hash>.<host>-<process id>-<random>.incomplete is written by that process alone. It is taken over, by a rename that only
// one process can win, when its process is gone or has not touched it for a minute; <hash>.free.incomplete by anybody.
const ENDING = ".incomplete";
const FREE = "free";
const TOUCH_MS = 10_000;
const STALE_MS = 60_000;

/** The part of a blob that is there, held by one process at a time. */
export class PartialFile {
  private readonly touching: NodeJS.Timeout;

  private constructor(
    private readonly blob: string,
    readonly path: string,
  ) {
    this.touching = setInterval(() => void touch(path), TOUCH_MS).unref();
  }

  /** Takes what was left of `blob`, or begins it; undefined where another process, or another call, is at it. */
  static async claim(blob: string): Promise<PartialFile | undefined> {
    const path = await take(blob).catch(async (cause) => {
      throw new FileError(blob, `cannot be written: ${await whatWasRefused(blob, cause)}`, { cause });
    });
    return path === undefined ? undefined : new PartialFile(blob, path);
  }

  /** Bytes of the largest part of `blob` that there is, whoever holds it. */
  static async sizeOf(blob: string): Promise<number> {
    const { leftovers, held } = await survey(blob);
    return Math.max(0, ...[...leftovers, ...held].map(({ size }) => size));
  }

  /** Becomes the blob, unless another process took it over meanwhile. The content has to be on the disk already. */
  async finish(): Promise<void> {
    await rename(this.path, this.blob).catch((error) => {
      if (error.code !== "ENOENT") throw error;
    });
    clearInterval(this.touching);
    await syncFolder(dirname(this.blob));
  }

  /** Is there for anybody to go on with. */
  async release(): Promise<void> {
    clearInterval(this.touching);
    await rename(this.path, `${this.blob}.${FREE}${ENDING}`).catch(isFalse);
  }

  async discard(): Promise<void> {
    clearInterval(this.touching);
    await rm(this.path, { force: true });
  }
}

/** Makes a part this process's own, a new one where there is none; undefined where another process has one. */
async function take(blob: string): Promise<string | undefined> {
  const path = `${blob}.${ownTag()}${ENDING}`;
  const { leftovers, held } = await survey(blob);
  for (const left of leftovers) {
    if (!(await rename(left.path, path).then(isTrue, isFalse))) continue;
    await touch(path);
    return path;
  }
  if (held.length > 0) return undefined;
  await (await open(path, "wx")).close();
  const others = (await survey(blob)).held.filter((part) => part.path !== path);
  if (others.length === 0) return path;
  await rm(path, { force: true }); // begun at the same moment: whoever sees another one leaves, and comes back
  return undefined;
}

interface Part {
  readonly path: string;
  readonly size: number;
}

/** The parts of a blob: those to take, largest first, and those that are held. */
async function survey(blob: string): Promise<{ leftovers: Part[]; held: Part[] }> {
  const [leftovers, held]: [Part[], Part[]] = [[], []];
  const prefix = `${basename(blob)}.`;
  for (const name of await readdir(dirname(blob)).catch(() => [])) {
    if (!name.startsWith(prefix) || !name.endsWith(ENDING)) continue;
    const tag = name.slice(prefix.length, -ENDING.length);
    if (tag !== FREE && !isTag(tag)) continue;
    const path = join(dirname(blob), name);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) continue;
    const isLeft = tag === FREE || isTagGone(tag) === true || Date.now() - found.mtimeMs > STALE_MS;
    (isLeft ? leftovers : held).push({ path, size: found.size });
  }
  leftovers.sort((a, b) => b.size - a.size);
  return { leftovers, held };
}

const isTrue = (): boolean => true;
const isFalse = (): boolean => false;

async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(isFalse);
}
