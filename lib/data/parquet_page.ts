import type { DataReader } from "hyparquet";
import { decompressPage } from "hyparquet/src/datapage.js";
import { readRleBitPackedHybrid } from "hyparquet/src/encoding.js";
import { getMaxDefinitionLevel, getMaxRepetitionLevel } from "hyparquet/src/schema.js";
import { readVarInt } from "hyparquet/src/thrift.js";
import type { ColumnDecoder, PageHeader } from "hyparquet/src/types.js";
import { checkDeltas, checkSharedBeginnings } from "./parquet_delta.js";

/** The bytes of a page behind its header, unpacked; levels of the second version are never packed. */
export function unpackPage(packed: Uint8Array, header: PageHeader, { codec, compressors }: ColumnDecoder): Uint8Array {
  const { uncompressed_page_size: size, data_page_header_v2: second } = header;
  if (second === undefined) return decompressPage(packed, size, codec, compressors);
  if (second.is_compressed === false) return packed;
  const begin = second.repetition_levels_byte_length + second.definition_levels_byte_length;
  const values = decompressPage(packed.subarray(begin), size - begin, codec, compressors);
  return Buffer.concat([packed.subarray(0, begin), values]);
}

/**
 * Looks at what a decoder would trust in an unpacked data page, and returns how many of its values are null. Throws Error
 * for a run of more than `most` equal values, with which it would fill the memory until the process ends, and for deltas
 * that it would read for ever.
 */
export function checkPage(page: Uint8Array, header: PageHeader, decoder: ColumnDecoder, most: number): number {
  const { data_page_header: first, data_page_header_v2: second } = header;
  const { num_values: numValues, encoding } = (first ?? second)!;
  const reader = { view: new DataView(page.buffer, page.byteOffset, page.byteLength), offset: 0 };
  const check = (width: number, length?: number): void => passRuns(reader, width, numValues, most, length);

  const deepest = getMaxRepetitionLevel(decoder.schemaPath);
  if (deepest > 0) check(bitsOf(deepest), second?.repetition_levels_byte_length);
  else reader.offset += second?.repetition_levels_byte_length ?? 0;
  const highest = getMaxDefinitionLevel(decoder.schemaPath);
  const levels = { view: reader.view, offset: reader.offset };
  if (highest > 0) check(bitsOf(highest), second?.definition_levels_byte_length);
  else reader.offset += second?.definition_levels_byte_length ?? 0;
  const numNulls = highest === 0 ? 0 : countNulls(levels, highest, numValues, second?.definition_levels_byte_length);

  const isDictionary = encoding === "PLAIN_DICTIONARY" || encoding === "RLE_DICTIONARY";
  if (decoder.type === "BOOLEAN" && (isDictionary || encoding === "RLE")) check(1);
  else if (isDictionary) check(reader.view.getUint8(reader.offset++), page.length - reader.offset);
  else if (encoding === "DELTA_BYTE_ARRAY") checkSharedBeginnings(reader, numValues - numNulls);
  else if (encoding.startsWith("DELTA_")) checkDeltas(reader);
  return numNulls;
}

const bitsOf = (highest: number): number => 32 - Math.clz32(highest);

/** Counts the values that a page leaves out. Arrow's headers of the second version count otherwise in lists. */
function countNulls(reader: DataReader, highest: number, numValues: number, length?: number): number {
  const levels: number[] = new Array(numValues);
  readRleBitPackedHybrid(reader, bitsOf(highest), levels, length);
  let count = 0;
  for (const level of levels) if (level < highest) count++;
  return count;
}

/** Packed values are in the page and need no memory, as long as a decoder can count them. */
const MOST_PACKED = 2 ** 29;

/** Goes to the end of runs, which is `length` bytes away or as many as stand before them. A decoder may read beyond it. */
function passRuns(reader: DataReader, width: number, numValues: number, most: number, length?: number): void {
  const { view } = reader;
  if (length === undefined) reader.offset += 4;
  const end = reader.offset + (length ?? view.getUint32(reader.offset - 4, true));
  for (let seen = 0; seen < numValues && reader.offset < view.byteLength; ) {
    const head = readVarInt(reader);
    const isPacked = (head & 1) === 1;
    const count = isPacked ? 8 * (head >>> 1) : head >>> 1;
    if (count > (isPacked ? MOST_PACKED : most))
      throw new Error(`has a damaged page: a run of ${count} of ${most} values`);
    reader.offset += isPacked ? (head >>> 1) * width : (width + 7) >> 3;
    seen += count;
  }
  reader.offset = end;
}
