import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll } from "vitest";

export interface FakeFile {
  readonly bytes: Buffer;
  /** Kept in the store for large files, to which the hub redirects. */
  readonly isLarge?: boolean;
}

export type FakeFiles = Readonly<Record<string, string | Buffer | FakeFile>>;

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly server: "hub" | "store";
}

/** May answer a request itself, and says whether it did. */
export type Interfere = (seen: Seen, response: ServerResponse) => boolean | Promise<boolean>;

const PER_PAGE = 3;
const SHA1 = (text: string | Buffer): string => createHash("sha1").update(text).digest("hex");

export const gitHash = (bytes: Buffer): string => SHA1(Buffer.concat([Buffer.from(`blob ${bytes.length}\0`), bytes]));
export const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** The routes of the hub that a download takes, and a store for large files at another address. */
export class FakeHub {
  readonly seen: Seen[] = [];
  interfere: Interfere = () => false;
  private readonly commits = new Map<string, ReadonlyMap<string, FakeFile>>();
  private readonly refs = new Map<string, string>();
  private readonly blobs = new Map<string, Buffer>();

  private constructor(
    private readonly hub: Server,
    private readonly store: Server,
  ) {}

  static async start(): Promise<FakeHub> {
    const fake: FakeHub = new FakeHub(
      createServer((request, response) => void fake.answer("hub", request, response)),
      createServer((request, response) => void fake.answer("store", request, response)),
    );
    for (const server of [fake.hub, fake.store]) {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    }
    afterAll(() => fake.close());
    return fake;
  }

  close(): void {
    for (const server of [this.hub, this.store]) {
      server.close();
      server.closeAllConnections();
    }
  }

  get endpoint(): string {
    return addressOf(this.hub);
  }

  get endpointOfStore(): string {
    return addressOf(this.store).replace("127.0.0.1", "localhost");
  }

  /** What of the paths that were asked for, in order, matches. */
  asked(pattern: RegExp): string[] {
    return this.seen.map(({ url }) => url).filter((url) => pattern.test(url));
  }

  /** Makes a commit and lets a branch be it. Returns its name. */
  push(kind: "model" | "dataset", name: string, files: FakeFiles, revision = "main"): string {
    const stored = Object.entries(files).map(([path, file]): [string, FakeFile] => {
      return [
        path,
        typeof file === "string" ? { bytes: Buffer.from(file) } : Buffer.isBuffer(file) ? { bytes: file } : file,
      ];
    });
    const commit = SHA1(JSON.stringify([kind, name, stored.map(([path, { bytes }]) => [path, sha256(bytes)])]));
    this.commits.set(`${kind} ${name} ${commit}`, new Map(stored));
    this.refs.set(`${kind} ${name} ${revision}`, commit);
    for (const [, { bytes }] of stored) this.blobs.set(sha256(bytes), bytes);
    return commit;
  }

  private async answer(server: "hub" | "store", request: IncomingMessage, response: ServerResponse): Promise<void> {
    const seen = { method: request.method!, url: request.url!, headers: request.headers, server };
    this.seen.push(seen);
    if (await this.interfere(seen, response)) return;
    const { pathname, searchParams } = new URL(request.url!, "http://host");
    if (server === "store") return sendBytes(request, response, this.blobs.get(pathname.slice(1)));
    const api = /^\/api\/(model|dataset)s\/(.+?)\/(revision|tree)\/([^/]+)$/.exec(pathname);
    if (api !== null) {
      const [, kind, name, what, revision] = api.map(decodeURIComponent);
      const commit = this.commitOf(kind!, name!, revision!);
      if (commit === undefined) return this.refuse(response, kind!, name!);
      if (what === "revision") return sendJson(response, { _id: "1", id: name, sha: commit, private: false });
      return this.sendPage(response, this.commits.get(`${kind} ${name} ${commit}`)!, request.url!, searchParams);
    }
    const file = /^\/(datasets\/)?(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    if (file === null) return refuse(response, 404, "Nothing", "no such route");
    const [, isData, name, revision, filePath] = file.map((part) => part && decodeURIComponent(part));
    const kind = isData ? "dataset" : "model";
    const commit = this.commitOf(kind, name!, revision!);
    if (commit === undefined) return this.refuse(response, kind, name!);
    const found = this.commits.get(`${kind} ${name} ${commit}`)!.get(filePath!);
    if (found === undefined) return refuse(response, 404, "EntryNotFound", "Entry not found");
    response.setHeader("x-repo-commit", commit);
    if (!found.isLarge) {
      response.setHeader("etag", `"${gitHash(found.bytes)}"`);
      return sendBytes(request, response, found.bytes);
    }
    const location = `${this.endpointOfStore}/${sha256(found.bytes)}`;
    const linked = { "x-linked-etag": `"${sha256(found.bytes)}"`, "x-linked-size": found.bytes.length };
    response.writeHead(302, { location, ...linked }).end(`Found. Redirecting to ${location}`);
  }

  private commitOf(kind: string, name: string, revision: string): string | undefined {
    return (
      this.refs.get(`${kind} ${name} ${revision}`) ??
      (this.commits.has(`${kind} ${name} ${revision}`) ? revision : undefined)
    );
  }

  private refuse(response: ServerResponse, kind: string, name: string): void {
    const isKnown = [...this.refs.keys()].some((key) => key.startsWith(`${kind} ${name} `));
    if (isKnown) refuse(response, 404, "RevisionNotFound", "Invalid rev id");
    else refuse(response, 401, "RepoNotFound", "Repository not found"); // as the hub says to whom it does not know
  }

  private sendPage(
    response: ServerResponse,
    files: ReadonlyMap<string, FakeFile>,
    url: string,
    query: URLSearchParams,
  ): void {
    const entries = [...files].map(([path, { bytes, isLarge }]) => {
      const pointer = Buffer.from(`oid sha256:${sha256(bytes)}\nsize ${bytes.length}\n`);
      const oid = isLarge ? gitHash(pointer) : gitHash(bytes);
      const lfs = { oid: sha256(bytes), size: bytes.length, pointerSize: pointer.length };
      return { type: "file", path, size: bytes.length, oid, ...(isLarge && { lfs }) };
    });
    const folders = [
      ...new Set([...files.keys()].filter((path) => path.includes("/")).map((path) => path.split("/")[0])),
    ];
    const all = [...folders.map((path) => ({ type: "directory", path, size: 0, oid: SHA1(path!) })), ...entries];
    const from = Number(query.get("cursor") ?? 0);
    if (from + PER_PAGE < all.length) {
      const next = new URL(url, this.endpoint);
      next.searchParams.set("cursor", String(from + PER_PAGE));
      response.setHeader("link", `<${next}>; rel="next"`);
    }
    sendJson(response, all.slice(from, from + PER_PAGE));
  }
}

export function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { "x-error-code": code, "x-error-message": message, "content-type": "application/json" });
  response.end(JSON.stringify({ error: message }));
}

/** Sends a file, or of it what a Range asks for. `most` bytes are sent before the connection is cut. */
export function sendBytes(
  { headers, method }: Pick<IncomingMessage, "headers" | "method">,
  response: ServerResponse,
  bytes: Buffer | undefined,
  most = Number.POSITIVE_INFINITY,
): void {
  if (bytes === undefined) return void response.writeHead(403).end();
  const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1] ?? 0);
  const part = bytes.subarray(from);
  response.setHeader("content-length", part.length);
  if (from > 0) response.setHeader("content-range", `bytes ${from}-${bytes.length - 1}/${bytes.length}`);
  response.writeHead(from > 0 ? 206 : 200);
  if (method === "HEAD") response.end();
  else if (part.length <= most) response.end(part);
  else response.write(part.subarray(0, most), () => response.destroy());
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(value));
}

const addressOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
