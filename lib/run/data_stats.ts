import { DataError } from "../base/errors.js";
import { factsOf } from "../curate/row_facts.js";
import { type DataStats, StatsTally } from "../curate/stats.js";
import { parseRow } from "../data/raw_row.js";
import { type ReadOptions, readRawRows } from "../data/source.js";
import { Tokenizer } from "../text/tokenizer.js";

export interface StatsOptions extends ReadOptions {
  /** A folder with a tokenizer, to count tokens with. */
  readonly tokenizer?: string | undefined;
  /** Is told how many rows were read, now and then. */
  readonly report?: ((rows: number) => void) | undefined;
}

const REPORTED_ROWS = 1000;

/**
 * Counts what a file or folder of rows holds: dialogues, pairs, feedback or text, and their lengths. Rows that cannot be
 * read are counted; `validateData` tells which they are. Throws FileError and ModelError.
 */
export async function dataStats(input: string, options: StatsOptions = {}): Promise<DataStats> {
  const { tokenizer, report, ...read } = options;
  const tally = new StatsTally(tokenizer === undefined ? undefined : await Tokenizer.load(tokenizer));
  let rows = 0;
  for await (const raw of readRawRows(input, read)) {
    try {
      tally.add(factsOf(parseRow(raw)));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      tally.addBroken();
    }
    if (++rows % REPORTED_ROWS === 0) report?.(rows);
  }
  return tally.stats();
}
