import type { DataReader } from "hyparquet";
import { decompressPage } from "hyparquet/src/datapage.js";
import { getMaxDefinitionLevel, getMaxRepetitionLevel } from "hyparquet/src/schema.js";
import { readVarInt } from "hyparquet/src/thrift.js";
import type { ColumnDecoder, PageHeader } from "hyparquet/src/types.js";

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
 * Looks at the runs of an unpacked data page: equal values are told once, others packed. Throws Error for a run of more
 * than `most` values, with which a decoder would fill the memory until the process ends.
 */
export function checkRuns(page: Uint8Array, header: PageHeader, decoder: ColumnDecoder, most: number): void {
  const { data_page_header: first, data_page_header_v2: second } = header;
  const { num_values: numValues, encoding } = (first ?? second)!;
  const reader = { view: new DataView(page.buffer, page.byteOffset, page.byteLength), offset: 0 };
  const check = (width: number, length?: number): void => passRuns(reader, width, numValues, most, length);
  const levels = [
    [getMaxRepetitionLevel(decoder.schemaPath), second?.repetition_levels_byte_length],
    [getMaxDefinitionLevel(decoder.schemaPath), second?.definition_levels_byte_length],
  ] as const;
  for (const [highest, length] of levels) {
    if (highest > 0) check(32 - Math.clz32(highest), length);
    else reader.offset += length ?? 0;
  }
  const isDictionary = encoding === "PLAIN_DICTIONARY" || encoding === "RLE_DICTIONARY";
  if (decoder.type === "BOOLEAN" && (isDictionary || encoding === "RLE")) check(1);
  else if (isDictionary) check(reader.view.getUint8(reader.offset++), page.length - reader.offset);
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
