/** The files of rows that are read, in words. */
export const READABLE = ".jsonl, .json, .csv (each also with .gz or .zst) or .parquet";

/** What the end of a file's name says it is, as `.jsonl.gz`; nothing for a kind that is not read. */
export function kindOf(name: string): string | undefined {
  return /(\.(jsonl|ndjson|json|csv)(\.gz|\.zst)?|\.parquet)$/.exec(name)?.[0];
}

// What datasets' own libraries write beside the rows.
const NO_ROWS = /^(dataset_infos?|dataset_dict|state)\.json$/;

/** Whether a file of a data set holds rows that are read, by its name. */
export const holdsRows = (name: string): boolean =>
  kindOf(name) !== undefined && !name.startsWith(".") && !NO_ROWS.test(name);
