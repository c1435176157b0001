import type { FileHandle } from "node:fs/promises";
import type { ColumnMetaData, DecodedArray, SchemaTree } from "hyparquet";
import { parquetHeader, readPage } from "hyparquet/src/column.js";
import { convert } from "hyparquet/src/convert.js";
import { getTreePath } from "hyparquet/src/schema.js";
import type { ColumnDecoder, PageHeader } from "hyparquet/src/types.js";
import { CODECS } from "./parquet_codecs.js";
import { checkPage, unpackPage } from "./parquet_page.js";
import { PARSERS } from "./parquet_values.js";

/** Bytes that a page's header is surely in, and a small page too. Writers leave out statistics of more than 4 KiB. */
const WINDOW = 1 << 16;

/** More values than a page may have. V8 keeps longer arrays as hash tables, which no memory has room for. */
const MOST_PAGE_VALUES = 1 << 25;

/** One leaf column of a row group: its values by row, in lists where it repeats. Only the pages in use are in memory. */
export class ParquetColumn {
  private readonly decoder: ColumnDecoder;
  private readonly end: number;
  private readonly mostValues: number;
  private at: number; // where the next page begins
  private dictionary: DecodedArray | undefined;
  private values: unknown[] = []; // decoded, from `next` on not handed out; a page may go on with the last row of another
  private next = 0;

  constructor(
    private readonly file: FileHandle,
    tree: SchemaTree,
    column: ColumnMetaData,
  ) {
    const { codec } = column;
    if (codec !== "UNCOMPRESSED" && CODECS[codec] === undefined) {
      throw new Error(`compressed with ${codec}, expected one of ${Object.keys(CODECS).join(", ")}`);
    }
    const schemaPath = getTreePath(tree, column.path_in_schema);
    const { element } = schemaPath.at(-1)!;
    this.decoder = {
      ...column,
      pathInSchema: column.path_in_schema,
      schemaPath,
      element,
      parsers: PARSERS,
      compressors: CODECS,
    };
    this.mostValues = Number(column.num_values);
    this.at = Number(column.dictionary_page_offset || column.data_page_offset);
    this.end = this.at + Number(column.total_compressed_size);
  }

  /** The values of the next rows. Throws Error where there are fewer, or where they cannot be read. */
  async take(numRows: number): Promise<unknown[]> {
    while (this.values.length - this.next <= numRows && this.at < this.end) await this.readPage();
    const numValues = this.values.length - this.next;
    if (numValues < numRows) throw new Error(`ends ${numRows - numValues} rows before its row group`);
    const taken = this.values.slice(this.next, this.next + numRows);
    this.next += taken.length;
    return taken;
  }

  private async readPage(): Promise<void> {
    const begin = await this.readBytes(Math.min(WINDOW, this.end - this.at));
    const reader = { view: begin, offset: 0 };
    const header = parquetHeader(reader);
    this.check(header);
    const headerSize = reader.offset;
    const size = headerSize + header.compressed_page_size;
    const page = size <= begin.byteLength ? begin : await this.readBytes(size);
    this.at += size;
    reader.view = page;
    if (header.type === "INDEX_PAGE") return;
    if (header.type === "DICTIONARY_PAGE") {
      const { data } = readPage(reader, header, this.decoder, undefined, undefined, 0);
      this.dictionary = convert(data!, this.decoder);
      return;
    }
    const { data_page_header_v2: second } = header;
    const unpacked = unpackPage(
      new Uint8Array(page.buffer, headerSize, header.compressed_page_size),
      header,
      this.decoder,
    );
    const numNulls = checkPage(unpacked, header, this.decoder, this.mostValues);
    if (second !== undefined) second.num_nulls = numNulls;
    const view = new DataView(unpacked.buffer, unpacked.byteOffset, unpacked.byteLength);
    this.values = this.values.slice(this.next);
    this.next = 0;
    const plain = { ...header, compressed_page_size: unpacked.length, uncompressed_page_size: unpacked.length };
    const decoder: ColumnDecoder = { ...this.decoder, codec: "UNCOMPRESSED" };
    const { data } = readPage({ view, offset: 0 }, plain, decoder, this.dictionary, this.values, 0);
    if (data !== this.values) for (const value of data!) this.values.push(value);
  }

  /** A damaged page may ask for more memory than there is, or be read for ever. */
  private check(header: PageHeader): void {
    const { compressed_page_size: size, data_page_header, data_page_header_v2, dictionary_page_header } = header;
    const numValues = (data_page_header ?? data_page_header_v2 ?? dictionary_page_header)?.num_values ?? 0;
    if (size >= 0 && numValues >= 0 && numValues <= Math.min(this.mostValues, MOST_PAGE_VALUES)) return;
    throw new Error(`has a damaged page: ${numValues} of ${this.mostValues} values in ${size} bytes`);
  }

  private async readBytes(length: number): Promise<DataView<ArrayBuffer>> {
    if (this.at + length > this.end) throw new Error(`a page is longer than its column: ${length} bytes at ${this.at}`);
    const bytes = new Uint8Array(length);
    const { bytesRead } = await this.file.read(bytes, 0, length, this.at);
    if (bytesRead < length) throw new Error(`the file ends ${length - bytesRead} bytes early`);
    return new DataView(bytes.buffer);
  }
}
