import { type FileHandle, open } from "node:fs/promises";
import { FileError, HubError } from "../base/errors.js";
import { whatWasRefused, writeAll } from "../base/files.js";
import { hasSize } from "./cache.js";
import { Checksum } from "./checksum.js";
import type { HubContext } from "./context.js";
import type { HubFile } from "./listing.js";
import { PartialFile } from "./partial_file.js";
import { ask, Passing, pause, persist, stopped } from "./request.js";

const POLL_MS = 200;

/**
 * Brings the content of a file of a commit to `blob`, whole and checked, or not at all. It goes on with what an earlier
 * call left, and waits while another one is at the same blob. `report` is told how many bytes are there. Throws HubError,
 * FileError for what cannot be written, and AbortedError; what came is kept, unless it is wrong.
 */
export async function fetchBlob(
  context: HubContext,
  commit: string,
  file: HubFile,
  blob: string,
  report: (bytes: number) => void,
): Promise<void> {
  for (;;) {
    if (context.signal?.aborted) throw stopped(context);
    if (await hasSize(blob, file.size)) return report(file.size);
    const partial = await PartialFile.claim(blob);
    if (partial === undefined) {
      report(Math.min(file.size, await PartialFile.sizeOf(blob)));
      await pause(context, POLL_MS * (0.5 + Math.random())); // not in step with others that wait
    } else if (await hasSize(blob, file.size)) {
      await partial.discard(); // its holder was done just before it was claimed
    } else {
      await complete(context, urlOf(context, commit, file), file, partial, report).catch(fileError(blob, file.size));
    }
  }
}

function urlOf({ repo, settings }: HubContext, commit: string, { path }: HubFile): string {
  const folder = `${settings.endpoint}/${repo.kind === "dataset" ? "datasets/" : ""}${repo.name}`;
  return `${folder}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

async function complete(
  context: HubContext,
  url: string,
  file: HubFile,
  partial: PartialFile,
  report: (bytes: number) => void,
): Promise<void> {
  let isWrong = false;
  try {
    const handle = await open(partial.path, "r+");
    try {
      let transfer = await Transfer.from(handle, file);
      const resumedAt = transfer.done;
      await transfer.carryOut(context, url, report);
      if (!transfer.isRight() && resumedAt > 0) {
        transfer = await Transfer.anew(handle, file); // what was left may have been wrong
        await transfer.carryOut(context, url, report);
      }
      if (!transfer.isRight()) {
        isWrong = true;
        throw damaged(context, file, transfer.found);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await partial.finish();
  } catch (error) {
    await (isWrong ? partial.discard() : partial.release());
    const { syscall, code } = error as NodeJS.ErrnoException;
    const isTakenOver = syscall === "open" && code === "ENOENT"; // by another process, as finish may find too
    if (!isTakenOver) throw error;
  }
}

/** Tells what the system refused; any other error passes. */
const fileError =
  (path: string, size: number) =>
  async (error: NodeJS.ErrnoException): Promise<never> => {
    if (error.syscall === undefined) throw error;
    throw new FileError(path, `cannot be written: ${await whatWasRefused(path, error, size)}`, { cause: error });
  };

/** One file's bytes on their way from the hub to the disk. */
class Transfer {
  found = "";

  private constructor(
    private readonly handle: FileHandle,
    private readonly file: HubFile,
    private checksum: Checksum,
    public done: number,
  ) {}

  static async from(handle: FileHandle, file: HubFile): Promise<Transfer> {
    const { size } = await handle.stat();
    if (size > file.size) return Transfer.anew(handle, file);
    const checksum = new Checksum(file);
    await checksum.updateFrom(handle, size);
    return new Transfer(handle, file, checksum, size);
  }

  static async anew(handle: FileHandle, file: HubFile): Promise<Transfer> {
    await handle.truncate(0);
    return new Transfer(handle, file, new Checksum(file), 0);
  }

  async carryOut(context: HubContext, url: string, report: (bytes: number) => void): Promise<void> {
    report(this.done);
    await persist(context, async (progressed) => {
      if (this.done === this.file.size) return;
      const range: Record<string, string> = this.done > 0 ? { range: `bytes=${this.done}-` } : {};
      await ask(context, url, range, async (response, alive) => {
        if (response.status !== 206) await this.restart();
        this.check(context, response);
        for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
          if (this.done + chunk.byteLength > this.file.size) throw this.tooLong(context);
          await writeAll(this.handle, chunk, this.done);
          this.checksum.update(chunk);
          this.done += chunk.byteLength;
          alive();
          progressed();
          report(this.done);
        }
      });
      if (this.done < this.file.size)
        throw new Passing(this.wrong(context, "unreachable", `ends at ${this.done} bytes`));
    });
    this.found = this.checksum.digest();
  }

  isRight(): boolean {
    return this.found === this.checksum.expected;
  }

  private async restart(): Promise<void> {
    if (this.done === 0) return;
    await this.handle.truncate(0);
    this.checksum = new Checksum(this.file);
    this.done = 0;
  }

  /** Looks at what is announced, so that another thing is not written at all. */
  private check(context: HubContext, { status, headers }: Response): void {
    const type = headers.get("content-type") ?? "";
    if (type.startsWith("text/html") && !/\.html?$/.test(this.file.path)) {
      throw this.wrong(context, "answer", "comes as text/html; a proxy may stand before the hub");
    }
    const [, from, total] = /^bytes (\d+)-\d+\/(\d+|\*)/.exec(headers.get("content-range") ?? "") ?? [];
    if (status === 206 && Number(from) !== this.done) {
      throw this.wrong(context, "answer", `comes from byte ${from}, expected ${this.done}`);
    }
    const isPlain = (headers.get("content-encoding") ?? "identity") === "identity";
    const size = status === 206 ? total : isPlain ? headers.get("content-length") : null;
    if (size != null && size !== "*" && Number(size) !== this.file.size) {
      throw this.wrong(context, "damaged", `is ${size} bytes long, expected ${this.file.size}`);
    }
  }

  private tooLong(context: HubContext): HubError {
    return this.wrong(context, "damaged", `is longer than the ${this.file.size} bytes expected`);
  }

  private wrong({ repo }: HubContext, failure: HubError["failure"], fact: string): HubError {
    return new HubError(repo.name, failure, `${this.file.path} ${fact}`);
  }
}

function damaged({ repo }: HubContext, file: HubFile, found: string): HubError {
  const { name, expected } = new Checksum(file);
  const fact = `${file.path} has ${name} ${found}, expected ${expected}; what came was removed`;
  return new HubError(repo.name, "damaged", fact);
}
