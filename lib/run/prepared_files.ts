import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";

/** Files of a folder that is being filled, each made when something is written to it. */
export class PreparedFiles implements AsyncDisposable {
  private readonly files = new Map<string, FileHandle>();

  constructor(private readonly folder: string) {}

  /** Writes parts behind what a file holds. */
  async append(name: string, parts: readonly Uint8Array[]): Promise<void> {
    if (parts.length === 0) return;
    let file = this.files.get(name);
    if (file === undefined) {
      file = await open(join(this.folder, name), "wx");
      this.files.set(name, file);
    }
    await file.appendFile(Buffer.concat(parts));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.files.values()) await file.close();
  }
}
