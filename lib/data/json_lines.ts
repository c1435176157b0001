import { bytesOf } from "./file_bytes.js";
import type { RawRow } from "./raw_row.js";

/** The lines of a file that are not blank, handed over as they are. */
export async function* readJsonLines(source: string): AsyncGenerator<RawRow, void, void> {
  let index = 0;
  for await (const bytes of linesOf(source)) {
    if (bytes.some((byte) => byte > 0x20)) yield { source, index, bytes };
    index++;
  }
}

async function* linesOf(source: string): AsyncGenerator<Buffer, void, void> {
  const parts: Buffer[] = []; // of the line that is not complete yet
  for await (const chunk of bytesOf(source)) {
    let begin = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, begin)) {
      parts.push(chunk.subarray(begin, end));
      yield parts.length === 1 ? parts[0]! : Buffer.concat(parts);
      parts.length = 0;
      begin = end + 1;
    }
    if (begin < chunk.length) parts.push(chunk.subarray(begin));
  }
  if (parts.length > 0) yield Buffer.concat(parts);
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
