import { pipeline } from "node:stream";
import { CsvError, type CsvErrorCode, parse } from "csv-parse";
import { DataError, FileError, type RowPlace } from "../base/errors.js";
import { bytesOf, withoutMark } from "./file_bytes.js";
import { MOST_ROW_BYTES, type RawRow, rawRow, tooLong } from "./raw_row.js";

const MOST_FIELDS = 1 << 16;

interface CsvRecord {
  readonly line: number; // from 1, where the record begins
  readonly fields: readonly Buffer[];
}

/**
 * The rows of a .csv file: commas between the fields, quotes around those that hold commas, quotes or line ends, names in
 * the first line. A row's index is the line that it begins in. Every value is text, but a list of messages in JSON is one.
 * Throws FileError for names that cannot be and DataError for rows.
 */
export async function* readCsv(source: string): AsyncGenerator<RawRow, void, void> {
  let names: readonly string[] | undefined;
  for await (const { line, fields } of recordsOf(source)) {
    const place = { source, index: line - 1 };
    const texts = fields.map((field) => textOf(place, field));
    if (names === undefined) {
      names = texts;
      const twice = names.find((name, i) => names!.indexOf(name) < i);
      if (twice !== undefined)
        throw new FileError(source, `names the column ${JSON.stringify(twice)} twice in its header`);
    } else {
      yield rawRow(
        source,
        place.index,
        Object.fromEntries(names.map((name, i) => [name, messagesOrText(place, name, texts[i]!)])),
      );
    }
  }
}

async function* recordsOf(source: string): AsyncGenerator<CsvRecord, void, void> {
  const lines = new Lines();
  const begins: number[] = []; // of the records that are on their way
  let size = 0; // of the fields of a record that is not complete yet
  const parser = parse({
    encoding: null, // bytes, so that what is no UTF-8 is found
    skip_empty_lines: true,
    max_record_size: MOST_ROW_BYTES, // of a field: where a quote is never closed, the rest of the file would be one
    cast: (field: unknown, { index }) => {
      size = (index === 0 ? 0 : size) + (field as Buffer).length;
      const place = { source, index: lines.last };
      if (size > MOST_ROW_BYTES) throw tooLong(place);
      if (index === MOST_FIELDS) throw new DataError(place, `has more than ${MOST_FIELDS} fields`);
      return field;
    },
    on_record: (fields, { lines: last }) => {
      begins.push(lines.beginOf(fields as unknown as Buffer[], last));
      return fields;
    },
  });
  try {
    const records: AsyncIterable<Buffer[]> = pipeline(withoutMark(bytesOf(source)), parser, () => undefined);
    for await (const fields of records) yield { line: begins.shift()!, fields };
  } catch (error) {
    if (!isCsvFault(error)) throw error;
    const { code, record, column } = error;
    const line = record === undefined ? lines.last + 1 : lines.beginOf(record, error.lines);
    throw new DataError({ source, index: line - 1 }, describe(code, record?.length, column));
  }
}

/** Counts lines from 1. The parser counts a line end of two bytes in quotes twice. */
class Lines {
  /** The last line of the last record. */
  last = 0;
  private extra = 0;

  /** The line that a record begins in, of which the parser says that it ends in this one. */
  beginOf(fields: readonly Buffer[], last: number): number {
    const ends = fields.flatMap((field) => field.toString("latin1").match(/\r\n?|\n/g) ?? []);
    this.extra += ends.filter((end) => end.length === 2).length;
    this.last = last - this.extra;
    return this.last - ends.length;
  }
}

interface CsvFault {
  readonly code: CsvErrorCode;
  readonly lines: number;
  readonly column: number;
  readonly record?: readonly Buffer[];
}

const isCsvFault = (error: unknown): error is CsvFault => error instanceof CsvError;

function describe(code: CsvErrorCode, found: number | undefined, column: number): string {
  switch (code) {
    case "CSV_RECORD_INCONSISTENT_FIELDS_LENGTH":
      return `has ${found} ${found === 1 ? "field" : "fields"}, expected as many as the header`;
    case "CSV_QUOTE_NOT_CLOSED":
      return `has a quote before field ${column + 1} that is never closed`;
    case "CSV_MAX_RECORD_SIZE":
      return `has a field ${column + 1} of more than ${MOST_ROW_BYTES} bytes; expected its quote to be closed before`;
    default:
      return `has a quote inside of field ${column + 1}, expected it doubled and quotes around the field`;
  }
}

function textOf(place: RowPlace, field: Buffer): string {
  try {
    return UTF8.decode(field);
  } catch {
    throw new DataError(place, "is not UTF-8 text");
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A list of messages where the text is one in JSON, else the text. Throws DataError for one that is nearly so. */
function messagesOrText(place: RowPlace, name: string, text: string): unknown {
  if (!/^\s*\[\s*\{/.test(text)) return text;
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value) && value.every(isMessage)) return value;
  } catch (error) {
    if (/^\s*\[\s*\{\s*(['"])(role|content|from|value)\1\s*:/.test(text)) {
      throw new DataError(
        place,
        `${name}: begins like a list of messages, but is not JSON: ${(error as Error).message}`,
      );
    }
  }
  return text;
}

const isMessage = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  (("role" in value && "content" in value) || ("from" in value && "value" in value));
