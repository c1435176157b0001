import { DataError } from "../base/errors.js";
import { isDrop, isUltraChat, toDialogue } from "../curate/dialogue.js";
import { parseRow, type SourceRow } from "../data/raw_row.js";
import { toPreferencePair, toSftRow } from "../data/row.js";
import { type ReadOptions, readRawRows } from "../data/source.js";
import { toScoredPrompt } from "../feedback/scored.js";

/** What rows may be for: `westwind sft`, `westwind dpo`, `westwind feedback binarize`, `westwind data prepare`. */
export const DATA_USES = ["sft", "dpo", "feedback", "prepare"] as const;
export type DataUse = (typeof DATA_USES)[number];

export interface ValidateOptions extends ReadOptions {
  /** Default: what the first row that can be read looks like. */
  readonly for?: DataUse | undefined;
  /** Is told of every broken row, with its place and what is wrong with it. */
  readonly onBroken?: ((error: DataError) => void) | undefined;
}

export interface ValidateReport {
  readonly for: DataUse;
  readonly rows: number;
  readonly broken: number;
}

const READERS: Readonly<Record<DataUse, (row: SourceRow) => unknown>> = {
  sft: toSftRow,
  dpo: toPreferencePair,
  feedback: toScoredPrompt,
  prepare: (row) => {
    const found = toDialogue(row);
    if (isDrop(found)) throw new DataError(row, found.detail);
  },
};

/** Reads all rows as a command would that uses them, and counts those it would refuse. Throws FileError. */
export async function validateData(input: string, options: ValidateOptions = {}): Promise<ValidateReport> {
  const { onBroken, ...read } = options;
  let use = options.for;
  let [rows, broken] = [0, 0];
  for await (const raw of readRawRows(input, read)) {
    rows++;
    try {
      const row = parseRow(raw);
      use ??= useOf(row);
      READERS[use](row);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      broken++;
      onBroken?.(error);
    }
  }
  return { for: use ?? "sft", rows, broken };
}

function useOf({ fields }: SourceRow): DataUse {
  if (fields.chosen != null || fields.rejected != null) return "dpo";
  if (fields.completions != null) return "feedback";
  return isUltraChat(fields) ? "prepare" : "sft";
}
