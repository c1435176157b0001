import { DataError, type RowPlace } from "../base/errors.js";

/** A row as its file has it. `index` counts from 0: lines of .jsonl and .csv, rows of .json and .parquet. */
export interface SourceRow {
  readonly source: string;
  readonly index: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A row before it is parsed: the bytes of its JSON. They are valid until the next row is asked for. */
export interface RawRow {
  readonly source: string;
  readonly index: number;
  readonly bytes: Uint8Array;
}

/** Rows are in memory as a whole, so that one without an end has to be refused. */
export const MOST_ROW_BYTES = 1 << 26;

export const tooLong = (place: RowPlace): DataError =>
  new DataError(place, `has more than ${MOST_ROW_BYTES} bytes, the most that a row may have`);

/** A row of a format that is not JSON. Throws DataError for one that is too long. */
export function rawRow(source: string, index: number, fields: Record<string, unknown>): RawRow {
  let text: string;
  try {
    text = JSON.stringify(fields);
  } catch {
    throw tooLong({ source, index }); // longer than any text
  }
  const bytes = Buffer.from(text);
  if (bytes.length > MOST_ROW_BYTES) throw tooLong({ source, index });
  return { source, index, bytes };
}

export const isBlank = (bytes: Uint8Array): boolean => bytes.every((byte) => byte <= 0x20);

/** The fields of a row. Throws DataError where its bytes are no JSON object. */
export function parseRow({ source, index, bytes }: RawRow): SourceRow {
  const place = { source, index };
  let fields: unknown;
  try {
    fields = JSON.parse(UTF8.decode(bytes).trim());
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw new DataError(place, "is not UTF-8 text, expected a JSON object");
    const expected = /\.json(\.|$)/.test(source) ? "an array of objects" : "one object a line";
    throw new DataError(place, `is not JSON: ${error.message}; expected ${expected}`);
  }
  if (typeof fields === "object" && fields !== null && !Array.isArray(fields)) {
    return { ...place, fields: fields as Record<string, unknown> };
  }
  throw new DataError(place, `holds ${kindName(fields)}, expected an object of fields`);
}

const UTF8 = new TextDecoder("utf-8", { fatal: true });

function kindName(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : `a ${typeof value}`;
}

/** The row with these fields alone. Throws DataError where one is missing. */
export function keepColumns(row: SourceRow, columns: readonly string[] | undefined): SourceRow {
  if (columns === undefined) return row;
  const fields = columns.map((name) => {
    if (Object.hasOwn(row.fields, name)) return [name, row.fields[name]] as const;
    throw new DataError(row, noColumn(name, columns, Object.keys(row.fields)));
  });
  return { ...row, fields: Object.fromEntries(fields) };
}

export const noColumn = (name: string, expected: readonly string[], found: readonly string[]): string =>
  `has no column ${JSON.stringify(name)}, expected all of ${expected.join(", ")}; found ${found.join(", ")}`;
