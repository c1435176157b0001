import { bytesOf } from "./file_bytes.js";
import { isBlank, type RawRow } from "./raw_row.js";
import { RowPieces } from "./row_pieces.js";

/** The lines of a file that are not blank, handed over as they are. Throws DataError for one that is too long. */
export async function* readJsonLines(source: string): AsyncGenerator<RawRow, void, void> {
  const pieces = new RowPieces();
  let index = 0;
  for await (const chunk of bytesOf(source)) {
    let begin = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, begin)) {
      pieces.add(chunk.subarray(begin, end), { source, index });
      const bytes = pieces.take();
      if (!isBlank(bytes)) yield { source, index, bytes };
      index++;
      begin = end + 1;
    }
    if (begin < chunk.length) pieces.add(chunk.subarray(begin), { source, index });
  }
  const bytes = pieces.take();
  if (!isBlank(bytes)) yield { source, index, bytes };
}

/** Texts as lines, many at a time. */
export async function* toLines(texts: AsyncIterable<string>): AsyncGenerator<Buffer, void, void> {
  let lines: string[] = [];
  let length = 0;
  for await (const text of texts) {
    lines.push(text, "\n");
    length += text.length;
    if (length < CHUNK) continue;
    yield Buffer.from(lines.join(""));
    [lines, length] = [[], 0];
  }
  if (lines.length > 0) yield Buffer.from(lines.join(""));
}

const CHUNK = 1 << 16;
