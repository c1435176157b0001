import { readFileRows } from "./file_rows.js";
import type { RawRow } from "./raw_row.js";

/** A row that was chosen and not read yet. */
export interface RowChoice {
  readonly source: string;
  readonly index: number;
  /** Fields to keep; all where there are none named. */
  readonly columns?: readonly string[];
}

/**
 * Reads chosen rows one file after the other, each from its beginning to the last row that is wanted of it. `at` is the
 * choice's index; a row that was chosen twice comes twice.
 */
export async function* readChosen(
  choices: readonly RowChoice[],
): AsyncGenerator<{ readonly at: number; readonly row: RawRow }, void, void> {
  for (const [file, wanted] of byFile(choices)) {
    let next = 0;
    for await (const row of readFileRows(file, columnsOf(wanted.map((at) => choices[at]!)))) {
      for (; next < wanted.length && choices[wanted[next]!]!.index === row.index; next++) {
        yield { at: wanted[next]!, row };
      }
      if (next === wanted.length) break;
    }
  }
}

/** The choices of each file in the order of its rows. */
function byFile(choices: readonly RowChoice[]): Map<string, number[]> {
  const files = new Map<string, number[]>();
  choices.forEach(({ source }, at) => {
    const wanted = files.get(source);
    if (wanted === undefined) files.set(source, [at]);
    else wanted.push(at);
  });
  for (const wanted of files.values()) wanted.sort((a, b) => choices[a]!.index - choices[b]!.index || a - b);
  return files;
}

/** The columns that any of a file's choices keeps; nothing where one keeps all. */
function columnsOf(choices: readonly RowChoice[]): string[] | undefined {
  const sets = new Set(choices.map(({ columns }) => columns));
  return sets.has(undefined) ? undefined : [...new Set([...sets].flatMap((columns) => columns!))];
}
