import { join } from "node:path";
import type { SourceRow } from "../data/source.js";
import { writeRows } from "../data/write_rows.js";
import { binarize, type PairRow } from "../feedback/binarize.js";
import { collectFeedback, drawPrompts, type FeedbackRow, writeDialogues, writeTexts } from "./world.js";

/** How many rows each stage has to train on and to be judged by. */
export interface QuickstartSizes {
  readonly texts: number;
  readonly dialogues: number;
  /** Prompts that the models answer, for the judge to rate. */
  readonly prompts: number;
  /** Rows of each held-out file. */
  readonly heldOut: number;
}

export interface QuickstartData {
  /** Folders with train.jsonl and test.jsonl, as `dataset_name` takes them. */
  readonly texts: string;
  readonly dialogues: string;
  /** A file of prompts. */
  readonly prompts: string;
  /** A file of pairs to measure models by: what writers of different faults answered to held-out prompts. */
  readonly heldOutPairs: string;
}

/**
 * Writes what the quickstart trains on: `texts/` for the base model, `dialogues/` for dSFT, prompts for the models to
 * answer; and pairs to measure them by. The same seed and sizes give the same bytes. Throws FileError.
 */
export async function writeQuickstartData(
  folder: string,
  sizes: QuickstartSizes,
  seed: number,
): Promise<QuickstartData> {
  const { texts, dialogues, prompts, heldOut } = sizes;
  const allTexts = writeTexts(texts + heldOut, seed);
  const data = {
    texts: join(folder, "texts"),
    dialogues: join(folder, "dialogues"),
    prompts: join(folder, "prompts.jsonl"),
    heldOutPairs: join(folder, "held_out_pairs.jsonl"),
  };
  await writeSplits(data.texts, allTexts.slice(0, texts), allTexts.slice(texts));
  await writeSplits(data.dialogues, writeDialogues(dialogues, seed, "train"), writeDialogues(heldOut, seed, "test"));
  const asked = drawPrompts(prompts, seed, "train").map((prompt) => ({ prompt }));
  await writeRows(data.prompts, asked);
  const rated = collectFeedback(drawPrompts(heldOut, seed, "test"), seed);
  await writeRows(data.heldOutPairs, await toPairs(rated, seed));
  return data;
}

/** The rows of one file as pairs by the paper's rule. */
async function toPairs(feedback: readonly FeedbackRow[], seed: number): Promise<PairRow[]> {
  const rows = feedback.map((row, index): SourceRow => ({ source: "feedback", index, fields: { ...row } }));
  const pairs: PairRow[] = [];
  for await (const pair of binarize(rows, { rule: "mean", seed })) pairs.push(pair);
  return pairs;
}

async function writeSplits(folder: string, train: readonly object[], test: readonly object[]): Promise<void> {
  await writeRows(join(folder, "train.jsonl"), train);
  await writeRows(join(folder, "test.jsonl"), test);
}
