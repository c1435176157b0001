import { createHash, type Hash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { etagOf, type HubFile } from "./listing.js";

/** The hash by which the hub knows a file's content, as it is read. */
export class Checksum {
  readonly name: "sha256" | "git sha1";
  readonly expected: string;
  private readonly hash: Hash;

  constructor(file: HubFile) {
    this.name = file.sha256 === undefined ? "git sha1" : "sha256";
    this.expected = etagOf(file);
    this.hash = createHash(file.sha256 === undefined ? "sha1" : "sha256");
    if (file.sha256 === undefined) this.hash.update(`blob ${file.size}\0`); // as git does
  }

  update(bytes: Uint8Array): void {
    this.hash.update(bytes);
  }

  /** Adds the first `length` bytes of a file. */
  async updateFrom(handle: FileHandle, length: number): Promise<void> {
    const buffer = Buffer.alloc(Math.min(length, 1 << 20));
    for (let at = 0; at < length; ) {
      const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, length - at), at);
      if (bytesRead === 0) throw new Error("the file became shorter while it was read");
      this.hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
  }

  /** Ends it. */
  digest(): string {
    return this.hash.digest("hex");
  }
}
