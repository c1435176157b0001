import type { ParquetParsers } from "hyparquet";
import { DEFAULT_PARSERS } from "hyparquet/src/convert.js";
import { DataError, type RowPlace } from "../base/errors.js";

/**
 * How values of Parquet's logical types are decoded: times as ISO text in UTC, to the millisecond. Text that is no UTF-8
 * stays bytes, so that `toPlain` can say in which row it is.
 */
export const PARSERS: ParquetParsers = {
  ...DEFAULT_PARSERS,
  stringFromBytes: (bytes) => decoded(bytes) ?? bytes,
  dateFromDays: (days) => toIso(days * 86_400_000)?.slice(0, 10),
  timestampFromMilliseconds: (time) => toIso(Number(time)),
  timestampFromMicroseconds: (time) => toIso(Number(time / 1000n)),
  timestampFromNanoseconds: (time) => toIso(Number(time / 1_000_000n)),
};

function toIso(milliseconds: number): string | undefined {
  const date = new Date(milliseconds);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * A value as JSON has it: nothing is null, an integer beyond 2^53 its digits as text, bytes the text they hold. Throws
 * DataError with the field for bytes that are no text.
 */
export function toPlain(value: unknown, place: RowPlace, field: string): unknown {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  if (value == null) return null;
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value instanceof Uint8Array) {
    const text = decoded(value);
    if (text !== undefined) return text;
    throw new DataError(
      place,
      `${field}: ${value.length} bytes that are no UTF-8 text; name the columns to read without it`,
    );
  }
  if (Array.isArray(value)) return value.map((each, i) => toPlain(each, place, `${field}[${i}]`));
  const plain: Record<string, unknown> = {};
  for (const [name, each] of Object.entries(value)) plain[name] = toPlain(each, place, `${field}.${name}`);
  return plain;
}
