import type { RowPlace } from "../base/errors.js";
import { type RawRow, readFileRows } from "./source.js";

/**
 * Reads chosen rows one file after the other, each from its beginning to the last row that is wanted of it. `at` is the
 * choice's index; a row that was chosen twice comes twice.
 */
export async function* readChosen(
  choices: readonly RowPlace[],
): AsyncGenerator<{ readonly at: number; readonly row: RawRow }, void, void> {
  for (const [file, wanted] of byFile(choices)) {
    let next = 0;
    for await (const row of readFileRows(file)) {
      for (; next < wanted.length && choices[wanted[next]!]!.index === row.index; next++) {
        yield { at: wanted[next]!, row };
      }
      if (next === wanted.length) break;
    }
  }
}

/** The choices of each file in the order of its rows. */
function byFile(choices: readonly RowPlace[]): Map<string, number[]> {
  const files = new Map<string, number[]>();
  choices.forEach(({ source }, at) => {
    const wanted = files.get(source);
    if (wanted === undefined) files.set(source, [at]);
    else wanted.push(at);
  });
  for (const wanted of files.values()) wanted.sort((a, b) => choices[a]!.index - choices[b]!.index || a - b);
  return files;
}
