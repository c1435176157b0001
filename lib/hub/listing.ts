import { HubError } from "../base/errors.js";
import { isObject } from "../base/json.js";
import type { HubContext } from "./context.js";
import { ask, persist } from "./request.js";

/** A file of a commit. */
export interface HubFile {
  /** In the repository, with slashes. */
  readonly path: string;
  readonly size: number;
  /** Git's SHA-1 of the content, or of what stands for it where the content is in a store for large files. */
  readonly blobId: string;
  /** SHA-256 of the content of a large file. */
  readonly sha256?: string;
  readonly xetHash?: string;
}

/** What a blob of the cache is called: the hash by which its content is known. */
export const etagOf = ({ sha256, blobId }: HubFile): string => sha256 ?? blobId;

export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

/** The commit that a revision means now. Throws HubError. */
export async function commitOf(context: HubContext): Promise<string> {
  const { modelInfo, datasetInfo } = await import("@huggingface/hub"); // loaded only where something is asked
  const { kind, name, revision } = context.repo;
  const info = { name, revision, hubUrl: context.settings.endpoint, fetch: fetchJson(context) };
  const { sha } = await (kind === "model"
    ? modelInfo({ ...info, additionalFields: ["sha"] })
    : datasetInfo({ ...info, additionalFields: ["sha"] }));
  if (typeof sha === "string" && isCommit(sha)) return sha;
  throw noHub(context, `commit ${JSON.stringify(sha)}, expected 40 hexadecimal digits`);
}

/** All files of a commit. Throws HubError, also for names and hashes that could lead out of the cache. */
export async function filesOf(context: HubContext, commit: string): Promise<HubFile[]> {
  const { listFiles } = await import("@huggingface/hub");
  const { kind, name } = context.repo;
  const files: HubFile[] = [];
  const listing = { hubUrl: context.settings.endpoint, fetch: fetchJson(context), revision: commit, recursive: true };
  for await (const entry of listFiles({ ...listing, repo: { type: kind, name } })) {
    if (entry.type !== "file") continue;
    const { path, size, oid, lfs, xetHash } = entry;
    const file = { path, size: lfs?.size ?? size, blobId: oid, ...(lfs && { sha256: lfs.oid }) };
    if (!isHubFile(file)) throw noHub(context, `the file ${JSON.stringify(file)}, which cannot be stored`);
    files.push({ ...file, ...(xetHash !== undefined && { xetHash }) });
  }
  return files;
}

/** Whether this is a file that may be stored under its names, and its name shown. */
export function isHubFile(file: unknown): file is HubFile {
  if (!isObject(file)) return false;
  const { path, size, blobId, sha256 } = file;
  return (
    typeof path === "string" &&
    path.split("/").every((part) => part !== "" && part !== "." && part !== ".." && !/[\\\p{Cc}]/u.test(part)) &&
    Number.isSafeInteger(size) &&
    (size as number) >= 0 &&
    /^[0-9a-f]{40}$/.test(String(blobId)) &&
    (sha256 === undefined || /^[0-9a-f]{64}$/.test(String(sha256)))
  );
}

/** A fetch for the hub's API that is patient and brings JSON, or throws HubError. */
function fetchJson(context: HubContext): typeof fetch {
  return (url) =>
    persist(context, () =>
      ask(context, String(url), { accept: "application/json" }, async (response, alive) => {
        const text = await textOf(context, response, alive);
        try {
          JSON.parse(text);
        } catch {
          const type = response.headers.get("content-type") ?? "no content-type";
          throw noHub(context, `${type} that is no JSON`);
        }
        return new Response(text, { headers: { link: response.headers.get("link") ?? "" } });
      }),
    );
}

/** The text of an answer, of which not more is kept in memory than a page of a listing can have. */
async function textOf(context: HubContext, response: Response, alive: () => void): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    alive();
    length += chunk.byteLength;
    if (length > MOST_JSON_BYTES) throw noHub(context, `more than ${MOST_JSON_BYTES} bytes of JSON`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

const MOST_JSON_BYTES = 1 << 26;

const noHub = ({ repo, settings }: HubContext, found: string): HubError =>
  new HubError(repo.name, "answer", `${settings.endpoint} gives ${found}; HF_ENDPOINT or a proxy may be no hub`);
