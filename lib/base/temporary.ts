import { createHash, randomBytes } from "node:crypto";
import { readdir, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";

/** What a hidden sibling of a target is: the new content being built, or the old content moved out of the way. */
export type TemporaryKind = "partial" | "replaced";

// A name says which process made it, so that the next run can tell a leftover from a file still being written:
//   .model.safetensors.partial-<host>-<process id>-<random>
const HOST = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
const TAG = /^([0-9a-f]{8})-(\d+)-[0-9a-f]{8}$/;
const DAY_MS = 24 * 60 * 60 * 1000;

/** Says which process made a file: `<host>-<process id>-<random>`. */
export const ownTag = (): string => `${HOST}-${process.pid}-${randomBytes(4).toString("hex")}`;

export const isTag = (text: string): boolean => TAG.test(text);

/** Whether the process of a tag is gone; undefined where it is another machine's. */
export function isTagGone(tag: string): boolean | undefined {
  const match = TAG.exec(tag);
  return match?.[1] === HOST ? !isAlive(Number(match[2])) : undefined;
}

/** A name beside `path`, on the same volume, that no other process uses. */
export function temporaryPath(path: string, kind: TemporaryKind): string {
  return join(dirname(path), `.${basename(path)}.${kind}-${ownTag()}`);
}

/** The hidden siblings of `path` whose process is gone: dead on this host, or untouched for a day on another. */
export async function staleTemporaries(path: string, kind: TemporaryKind): Promise<string[]> {
  const folder = dirname(path);
  const prefix = `.${basename(path)}.${kind}-`;
  const found: string[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.startsWith(prefix)) continue;
    const tag = name.slice(prefix.length);
    if (!isTag(tag)) continue;
    const there = join(folder, name);
    if (isTagGone(tag) ?? (await isOld(there))) found.push(there);
  }
  return found;
}

export async function removeStaleTemporaries(path: string, kind: TemporaryKind): Promise<void> {
  for (const stale of await staleTemporaries(path, kind)) await rm(stale, { recursive: true, force: true });
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

async function isOld(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > DAY_MS;
}
