import { FileError } from "../base/errors.js";
import { bytesOf, withoutMark } from "./file_bytes.js";
import { isBlank, type RawRow } from "./raw_row.js";
import { RowPieces } from "./row_pieces.js";

const [QUOTE, COMMA, OPEN_LIST, BACKSLASH, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [
  0x22, 0x2c, 0x5b, 0x5c, 0x5d, 0x7b, 0x7d,
];

/**
 * The elements of a JSON array, handed over as they are: only brackets, commas and quotes are looked at, so that the file
 * need not be in memory. Throws FileError where it is no array or ends early, and DataError for a row that is too long.
 */
export async function* readJsonArray(source: string): AsyncGenerator<RawRow, void, void> {
  let index = 0;
  let depth = 0; // of brackets; 1 between the elements
  let isOver = false;
  let [inText, isEscaped] = [false, false];
  const pieces = new RowPieces();
  const finish = (last: Buffer): RawRow => {
    pieces.add(last, { source, index });
    return { source, index: index++, bytes: pieces.take() };
  };
  for await (const chunk of withoutMark(bytesOf(source))) {
    let begin = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (inText) {
        if (isEscaped) isEscaped = false;
        else if (byte === BACKSLASH) isEscaped = true;
        else if (byte === QUOTE) inText = false;
        continue;
      }
      if (byte <= 0x20) continue;
      if (depth === 0) {
        if (isOver) throw new FileError(source, "goes on after the end of its array, expected one array of rows");
        if (byte !== OPEN_LIST) throw noArray(source, byte);
        depth = 1;
        begin = at + 1;
      } else if (byte === QUOTE) {
        inText = true;
      } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
        depth++;
      } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
        if (--depth > 0) continue;
        if (byte !== CLOSE_LIST) throw new FileError(source, "has a } at the end of its array, expected ]");
        const row = finish(chunk.subarray(begin, at));
        if (row.index > 0 || !isBlank(row.bytes)) yield row;
        isOver = true;
      } else if (byte === COMMA && depth === 1) {
        yield finish(chunk.subarray(begin, at));
        begin = at + 1;
      }
    }
    if (depth > 0) pieces.add(chunk.subarray(begin), { source, index });
  }
  if (depth > 0) throw new FileError(source, `ends in row ${index + 1}, before the end of its array; it is not whole`);
}

function noArray(source: string, byte: number): FileError {
  const found = byte === OPEN_OBJECT ? "an object" : "no JSON array";
  return new FileError(source, `holds ${found}, expected an array of rows; JSON lines belong in a .jsonl file`);
}
