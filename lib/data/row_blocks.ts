import type { RowPlace } from "../base/errors.js";
import type { RawRow } from "./raw_row.js";

/** Bytes and rows of a block: enough that a thread is not asked for often, little enough that threads end together. */
const BLOCK = { bytes: 1 << 18, rows: 1024 };

/** Rows one behind the other, as bytes. */
export interface RowBlock<Row extends RowPlace = RowPlace> {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly rows: readonly (Row & { readonly end: number })[];
}

/** Below so many blocks a thread costs more time to start than it saves. */
export const WORTH_THREADS = (1 << 22) / BLOCK.bytes;

/** Puts rows into blocks, in their order. */
export async function* rowBlocks<Row extends RawRow>(
  rows: AsyncIterable<Row>,
): AsyncGenerator<RowBlock<Omit<Row, "bytes"> & RowPlace>, void, void> {
  let parts: Uint8Array[] = [];
  let placed: (Omit<Row, "bytes"> & RowPlace & { readonly end: number })[] = [];
  let end = 0;
  const finish = () => {
    const block = { bytes: Uint8Array.from(Buffer.concat(parts)), rows: placed };
    [parts, placed, end] = [[], [], 0];
    return block;
  };
  for await (const { bytes, ...row } of rows) {
    parts.push(Uint8Array.from(bytes)); // of its own: a view would keep all of what was read with it
    end += bytes.length;
    placed.push({ ...row, end });
    if (end >= BLOCK.bytes || placed.length >= BLOCK.rows) yield finish();
  }
  if (placed.length > 0) yield finish();
}
