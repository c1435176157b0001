import { createHash } from "node:crypto";
import type { RowChoice } from "./chosen.js";
import { bytesOf } from "./file_bytes.js";
import { kindOf } from "./file_kind.js";
import { readFileRows } from "./file_rows.js";
import { countParquetRows } from "./parquet.js";
import { filesOf, noRows } from "./source.js";

/** Lists rows, and hashes all it sees. */
export class Lister {
  private readonly hash = createHash("sha256");

  /** The rows of a split, or the first of them. Throws FileError where there are none. */
  async list(path: string, split: string, limit = Number.POSITIVE_INFINITY): Promise<RowChoice[]> {
    const rows: RowChoice[] = [];
    for (const source of await filesOf(path, split)) {
      const most = limit - rows.length;
      if (most <= 0) return rows;
      if (!(await this.listWhole(source, most, rows))) await this.listFirst(source, most, rows);
    }
    if (rows.length === 0) throw noRows(path);
    return rows;
  }

  /** Lists a file that says how many rows it has, which is not decoded but hashed as it is; others not. */
  private async listWhole(source: string, most: number, rows: RowChoice[]): Promise<boolean> {
    if (kindOf(source) !== ".parquet") return false;
    const count = await countParquetRows(source);
    if (count > most) return false;
    for await (const bytes of bytesOf(source)) this.hash.update(bytes);
    for (let index = 0; index < count; index++) rows.push({ source, index });
    return true;
  }

  private async listFirst(source: string, most: number, rows: RowChoice[]): Promise<void> {
    let count = 0;
    for await (const { index, bytes } of readFileRows(source)) {
      this.hash.update(bytes).update("\n");
      rows.push({ source, index });
      if (++count >= most) return;
    }
  }

  get contentHash(): string {
    return this.hash.copy().digest("hex");
  }
}
