import { createReadStream } from "node:fs";
import { readdir, readFile, readlink, rename, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { FileError } from "../base/errors.js";
import { makeFolder, whatWasRefused, writeFileAtomic } from "../base/files.js";
import { isObject } from "../base/json.js";
import { ownTag } from "../base/temporary.js";
import type { Repo } from "./context.js";
import { etagOf, type HubFile, isCommit, isHubFile } from "./listing.js";
import type { HubSettings } from "./settings.js";

/**
 * The folder of one model or data set in the cache, laid out as Python's huggingface_hub does:
 *
 *     models--owner--name/refs/main                     the commit that main was
 *     models--owner--name/blobs/<hash>                  a content
 *     models--owner--name/snapshots/<commit>/<file>     a link to its content
 *     models--owner--name/trees/<commit>.json           the files that a commit has, where huggingface_hub listed them
 *     models--owner--name/.westwind/<commit>.json       the same, where westwind did
 *
 * westwind has a listing of its own, since huggingface_hub takes a snapshot that lacks a file of its listing for an
 * unfinished one, and files that are of no use here are not downloaded.
 */
export class RepoCache {
  readonly folder: string;

  constructor(
    repo: Repo,
    private readonly settings: Pick<HubSettings, "cache" | "symlinks">,
  ) {
    this.folder = join(settings.cache, [`${repo.kind}s`, ...repo.name.split("/")].join("--"));
  }

  get blobs(): string {
    return join(this.folder, "blobs");
  }

  blob(file: HubFile): string {
    return join(this.blobs, etagOf(file));
  }

  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  /** The commit that a branch or tag was when it was last downloaded. */
  async readRef(revision: string): Promise<string | undefined> {
    const text = (await readFile(this.ref(revision), "utf8").catch(() => "")).trim();
    return isCommit(text) ? text : undefined;
  }

  async writeRef(revision: string, commit: string): Promise<void> {
    if ((await this.readRef(revision)) === commit) return; // the cache may be one that cannot be written
    await makeFolder(dirname(this.ref(revision)));
    await writeFileAtomic(this.ref(revision), commit);
  }

  /** The files of a commit, if they were listed before. */
  async readTree(commit: string): Promise<HubFile[] | undefined> {
    for (const folder of [OWN_TREES, "trees"]) {
      const files = await readTreeFile(join(this.folder, folder, `${commit}.json`)).catch(() => undefined);
      if (files !== undefined) return files;
    }
    return undefined;
  }

  async writeTree(commit: string, files: readonly HubFile[]): Promise<void> {
    const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
    const tree = { format_version: TREE_FORMAT, files: Object.fromEntries(sorted.map((f) => [f.path, toEntry(f)])) };
    const folder = join(this.folder, OWN_TREES);
    await makeFolder(folder);
    await writeFileAtomic(join(folder, `${commit}.json`), JSON.stringify(tree, null, 1));
  }

  /** The files of a snapshot that are there whole. Their hashes are not known. */
  async readSnapshot(commit: string): Promise<HubFile[]> {
    const files: HubFile[] = [];
    const names = await readdir(this.snapshot(commit), { recursive: true }).catch(() => []);
    for (const path of names) {
      const found = await stat(join(this.snapshot(commit), path)).catch(() => undefined); // of what a link leads to
      if (found?.isFile()) files.push({ path, size: found.size, blobId: "" });
    }
    return files;
  }

  /** Those files that the snapshot of a commit lacks. */
  async missing(commit: string, files: readonly HubFile[]): Promise<HubFile[]> {
    const isThere = await Promise.all(files.map((file) => hasSize(join(this.snapshot(commit), file.path), file.size)));
    return files.filter((_, i) => !isThere[i]);
  }

  /** Links files of which another snapshot brought the content, and returns the others. */
  async linkBlobs(commit: string, files: readonly HubFile[]): Promise<HubFile[]> {
    const absent: HubFile[] = [];
    for (const file of files) {
      const isThere = await hasSize(this.blob(file), file.size);
      if (!isThere || !(await this.link(commit, file, true))) absent.push(file);
    }
    return absent;
  }

  /**
   * Lets a snapshot show a blob that is there, as a file of its name. Without links the blob becomes that file, or is
   * copied where another snapshot may show it. Says whether the file is there: another call may have had the blob before.
   */
  async link(commit: string, file: HubFile, isShared = false): Promise<boolean> {
    const path = join(this.snapshot(commit), file.path);
    const blob = this.blob(file);
    const target = relative(dirname(path), blob);
    const { symlinks } = this.settings;
    if (symlinks && (await readlink(path).catch(() => undefined)) === target) return true;
    await makeFolder(dirname(path));
    const made = `${path}.${ownTag()}`;
    try {
      if (symlinks) {
        await symlink(target, made);
        await rename(made, path);
      } else if (isShared) {
        await writeFileAtomic(path, createReadStream(blob));
      } else {
        await rename(blob, path);
      }
      return true;
    } catch (cause) {
      await rm(made, { force: true });
      if (!symlinks && !(await hasSize(blob, file.size))) return hasSize(path, file.size);
      if (cause instanceof FileError) throw cause;
      const what = await whatWasRefused(path, cause as NodeJS.ErrnoException);
      const cure = symlinks ? "; where links cannot be made, set HF_HUB_DISABLE_SYMLINKS=1" : "";
      throw new FileError(path, `cannot be written: ${what}${cure}`, { cause });
    }
  }

  private ref(revision: string): string {
    return join(this.folder, "refs", ...revision.split("/"));
  }
}

/** Whether there is a file of so many bytes, at the path or where a link there leads. */
export async function hasSize(path: string, size: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true && found.size === size;
}

const OWN_TREES = ".westwind";
const TREE_FORMAT = 1;

interface TreeEntry {
  readonly size: number;
  readonly blob_id: string;
  readonly lfs_sha256?: string;
  readonly lfs_size?: number;
  readonly xet_hash?: string;
}

/** The files of a listing; undefined where it is of a form that is not known. */
async function readTreeFile(path: string): Promise<HubFile[] | undefined> {
  const { format_version: format, files } = JSON.parse(await readFile(path, "utf8"));
  if (format !== TREE_FORMAT || !isObject(files)) return undefined;
  const listed = Object.entries(files as Record<string, TreeEntry>).map(([path, entry]) => toFile(path, entry));
  return listed.every(isHubFile) ? listed : undefined;
}

const toEntry = ({ size, blobId, sha256, xetHash }: HubFile): TreeEntry => ({
  size,
  blob_id: blobId,
  ...(sha256 !== undefined && { lfs_sha256: sha256, lfs_size: size }),
  ...(xetHash !== undefined && { xet_hash: xetHash }),
});

const toFile = (path: string, { size, blob_id, lfs_sha256, lfs_size, xet_hash }: TreeEntry): HubFile => ({
  path,
  size: lfs_size ?? size,
  blobId: blob_id,
  ...(lfs_sha256 !== undefined && { sha256: lfs_sha256 }),
  ...(xet_hash !== undefined && { xetHash: xet_hash }),
});
