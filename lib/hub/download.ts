import { stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { eachAtOnce } from "../base/each_at_once.js";
import { FileError } from "../base/errors.js";
import { makeFolder } from "../base/files.js";
import { fetchBlob } from "./blob.js";
import type { RepoCache } from "./cache.js";
import type { HubContext } from "./context.js";
import { etagOf, type HubFile } from "./listing.js";
import { PartialFile } from "./partial_file.js";
import { stopped } from "./request.js";

const FILES_AT_ONCE = 4;
const TELL_MS = 100;

/** Brings files of a commit into its snapshot, some at a time. Throws as `fetchBlob`, and FileError for a full disk. */
export async function download(
  context: HubContext,
  cache: RepoCache,
  commit: string,
  files: readonly HubFile[],
  meter: Meter,
): Promise<void> {
  const { signal } = context;
  if (signal?.aborted) throw stopped(context);
  await makeFolder(cache.blobs);
  await eachAtOnce(files, FILES_AT_ONCE, signal, async (file, stop) => {
    const report = (bytes: number) => meter.set(file, bytes);
    do await fetchBlob({ ...context, signal: stop }, commit, file, cache.blob(file), report);
    while (!(await cache.link(commit, file)));
  });
}

/** Throws FileError where the disk of the cache has no room for the files that are not there yet. */
export async function checkRoom(context: HubContext, cache: RepoCache, files: readonly HubFile[]): Promise<void> {
  const blobs = new Map(files.map((file) => [etagOf(file), file]));
  let needed = 0;
  for (const file of blobs.values())
    needed += file.size - Math.min(file.size, await PartialFile.sizeOf(cache.blob(file)));
  const volume = await statfs(await nearest(cache.folder)).catch(() => undefined);
  const free = volume === undefined ? Number.POSITIVE_INFINITY : volume.bavail * volume.bsize;
  if (free >= needed) return;
  const { cache: folder } = context.settings;
  throw new FileError(folder, `${free} bytes free, expected the ${needed} that ${context.repo.name} needs`);
}

async function nearest(folder: string): Promise<string> {
  let at = folder;
  while (!(await stat(at).catch(() => undefined)) && dirname(at) !== at) at = dirname(at);
  return at;
}

/** Adds up what has come of some files, and tells it, but not at every byte. */
export class Meter {
  private readonly bytes = new Map<string, number>();
  private readonly total: number;
  private done = 0;
  private toldAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly context: HubContext,
    private readonly commit: string,
    files: readonly HubFile[],
  ) {
    this.total = files.reduce((sum, { size }) => sum + size, 0);
  }

  set({ path, size }: HubFile, bytes: number): void {
    this.done += bytes - (this.bytes.get(path) ?? 0);
    this.bytes.set(path, bytes);
    const now = performance.now();
    if (now - this.toldAt < TELL_MS && bytes < size) return;
    this.toldAt = now;
    const { done, total, commit } = this;
    this.context.tell({ kind: "downloading", name: this.context.repo.name, commit, file: path, done, total });
  }
}
