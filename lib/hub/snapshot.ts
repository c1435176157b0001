import { ConfigError, FileError, HubError } from "../base/errors.js";
import { RepoCache } from "./cache.js";
import type { HubContext, Repo } from "./context.js";
import { checkRoom, download, Meter } from "./download.js";
import { commitOf, filesOf, type HubFile, isCommit } from "./listing.js";
import { type Choose, isWeights } from "./wanted.js";

/** A commit of a model or data set, on this machine. */
export interface Snapshot {
  readonly name: string;
  readonly revision: string;
  readonly commit: string;
  /** The folder of its files. */
  readonly path: string;
}

export interface SnapshotOptions {
  readonly choose: Choose;
  /** Is shown the folder when all but the weights is there, and throws what speaks against fetching them. */
  readonly inspect?: ((folder: string) => Promise<unknown>) | undefined;
}

/**
 * The snapshot of a repository's revision with all chosen files. What is missing is downloaded; where the hub cannot be
 * asked, what the cache has of the revision is taken if it is whole. Throws HubError, FileError, AbortedError, and
 * ConfigError for a revision that is none.
 */
export async function takeSnapshot(context: HubContext, options: SnapshotOptions): Promise<Snapshot> {
  const { repo, settings } = context;
  checkRevision(repo);
  const cache = new RepoCache(repo, settings);
  const { commit, files, unasked } = await lookUp(context, cache).catch((error) => {
    if (!(error instanceof HubError)) throw error;
    return fromCache(context, cache, options.choose, error);
  });
  const chosen = options.choose.from(files);
  if (chosen.length === 0) throw nothingIn(repo, options.choose, files);
  const missing = await cache.missing(commit, chosen);
  if (missing.length > 0) await fill(context, cache, commit, missing, options);
  const { name, revision } = repo;
  if (unasked === undefined && revision !== commit) await cache.writeRef(revision, commit).catch(ifFile);
  const path = cache.snapshot(commit);
  const note = settings.offline ? undefined : unasked?.fact;
  context.tell({ kind: "located", name, revision, commit, path, ...(note !== undefined && { note }) });
  return { name, revision, commit, path };
}

interface Found {
  readonly commit: string;
  readonly files: readonly HubFile[];
  /** Why the hub was not asked, where it was not. */
  readonly unasked?: HubError;
}

/** What the hub says now, which needs no word of a commit that was listed before. Throws HubError. */
async function lookUp(context: HubContext, cache: RepoCache): Promise<Found> {
  const { name, revision } = context.repo;
  if (context.settings.offline) throw new HubError(name, "offline", "HF_HUB_OFFLINE is set, so the hub is not asked");
  const commit = isCommit(revision) ? revision : await commitOf(context);
  const listed = await cache.readTree(commit);
  if (listed !== undefined) return { commit, files: listed };
  const files = await filesOf(context, commit);
  await cache.writeTree(commit, files).catch(ifFile); // a cache that cannot be written may have all that is needed
  return { commit, files };
}

/** What the cache has of the revision. Throws HubError where it is not all there, which tells `why` that matters. */
async function fromCache(context: HubContext, cache: RepoCache, choose: Choose, why: HubError): Promise<Found> {
  const { repo, settings } = context;
  const refuse = (fact: string): HubError => {
    const cure = why.failure === "offline" ? `; where the hub can be reached, run: ${downloadCommand(repo)}` : "";
    return new HubError(repo.name, why.failure, `${fact}, and ${why.fact}${cure}`, { cause: why });
  };
  const commit = isCommit(repo.revision) ? repo.revision : await cache.readRef(repo.revision);
  const there = commit === undefined ? [] : await cache.readSnapshot(commit);
  if (commit === undefined || there.length === 0) {
    const which = repo.revision === "main" ? "" : ` at ${repo.revision}`;
    throw refuse(`is neither on this machine nor${which} in the cache ${settings.cache}`);
  }
  const files = (await cache.readTree(commit)) ?? there;
  const missing = await cache.missing(commit, choose.from(files));
  if (missing.length === 0) return { commit, files, unasked: why };
  const names = missing.slice(0, 3).map(({ path }) => path);
  const more = missing.length > names.length ? ` and ${missing.length - names.length} more` : "";
  throw refuse(`lacks ${names.join(", ")}${more} in the cache ${cache.snapshot(commit)}`);
}

function ifFile(error: unknown): void {
  if (!(error instanceof FileError)) throw error;
}

async function fill(
  context: HubContext,
  cache: RepoCache,
  commit: string,
  missing: readonly HubFile[],
  { inspect }: SnapshotOptions,
): Promise<void> {
  const absent = await cache.linkBlobs(commit, missing);
  await checkRoom(context, cache, absent);
  const meter = new Meter(context, commit, absent);
  const weights = absent.filter(isWeights);
  const others = absent.filter((file) => !isWeights(file));
  await download(context, cache, commit, others, meter);
  if (weights.length > 0) await inspect?.(cache.snapshot(commit));
  await download(context, cache, commit, weights, meter);
}

function checkRevision({ kind, revision }: Repo): void {
  if (/^[^\s\\/?#]+(?:\/[^\s\\/?#]+)*$/.test(revision) && !/(?:^|\/)\.\.?(?:\/|$)/.test(revision)) return;
  throw new ConfigError(`${kind}_revision`, `${JSON.stringify(revision)}, expected a branch, a tag or a commit`);
}

function nothingIn({ name }: Repo, { expected }: Choose, files: readonly HubFile[]): HubError {
  const names = files.map(({ path }) => path).filter((path) => !path.startsWith("."));
  const found = names.length === 0 ? "no files" : names.slice(0, 8).join(", ");
  return new HubError(name, "not-found", `holds ${found}, expected ${expected}`);
}

const downloadCommand = ({ kind, name, revision }: Repo): string =>
  `westwind download ${name}${kind === "dataset" ? " --dataset" : ""}${revision === "main" ? "" : ` --revision ${revision}`}`;
