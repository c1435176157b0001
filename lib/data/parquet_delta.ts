import type { DataReader } from "hyparquet";
import { deltaBinaryUnpack } from "hyparquet/src/delta.js";
import { readVarInt } from "hyparquet/src/thrift.js";

/** Looks at how deltas are laid out. Throws Error where a decoder would go in circles; the reader stays where it is. */
export function checkDeltas({ view, offset }: DataReader): void {
  const reader = { view, offset };
  const [blockSize, parts] = [readVarInt(reader), readVarInt(reader)];
  if (blockSize > 0 && parts > 0 && blockSize % (8 * parts) === 0) return;
  throw new Error(`has a damaged page: deltas in blocks of ${blockSize} values in ${parts} parts`);
}

/** Looks at texts of which each tells how much of the one before it begins with, and what follows. Throws Error. */
export function checkSharedBeginnings(reader: DataReader, count: number): void {
  const [shared, own] = [lengthsOf(reader, count), lengthsOf(reader, count)];
  let before = 0;
  for (let i = 0; i < count; i++) {
    const [begin, rest] = [shared[i]!, own[i]!];
    if (begin < 0 || begin > before || rest < 0) {
      throw new Error(`has a damaged page: a value of ${begin} bytes of one of ${before} bytes and ${rest} more`);
    }
    before = begin + rest;
  }
}

function lengthsOf(reader: DataReader, count: number): Int32Array {
  checkDeltas(reader);
  const lengths = new Int32Array(count);
  deltaBinaryUnpack(reader, count, lengths);
  return lengths;
}
