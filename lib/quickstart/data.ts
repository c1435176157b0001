import { join } from "node:path";
import { makeFolder, writeFileAtomic } from "../base/files.js";
import type { SourceRow } from "../data/source.js";
import { type BinarizeReport, binarize, type PairRow } from "../feedback/binarize.js";
import { collectFeedback, drawPrompts, type FeedbackRow, writeDialogues, writeTexts } from "./world.js";
import { WRITERS, type Writer } from "./writer.js";

/** How many rows each stage has to train on and to be judged by. */
export interface QuickstartSizes {
  readonly texts: number;
  readonly dialogues: number;
  readonly prompts: number;
  /** Rows of each held-out file. */
  readonly heldOut: number;
}

/** Folders with train.jsonl and test.jsonl, as `dataset_name` takes them. */
export interface QuickstartData {
  readonly texts: string;
  readonly dialogues: string;
  readonly feedback: string;
  readonly pairs: string;
  readonly trainReport: BinarizeReport;
  readonly testReport: BinarizeReport;
}

/**
 * Writes what the quickstart trains on: `texts/` for the base model, `dialogues/` for dSFT, `feedback/` (scored
 * completions) and `pairs/` (binarised by the mean rating) for dDPO. The same seed and sizes give the same bytes.
 * Throws FileError.
 */
export async function writeQuickstartData(
  folder: string,
  sizes: QuickstartSizes,
  seed: number,
  writers: readonly Writer[] = WRITERS,
): Promise<QuickstartData> {
  const { texts, dialogues, prompts, heldOut } = sizes;
  const allTexts = writeTexts(texts + heldOut, seed);
  const data = {
    texts: await writeRows(folder, "texts", allTexts.slice(0, texts), allTexts.slice(texts)),
    dialogues: await writeRows(
      folder,
      "dialogues",
      writeDialogues(dialogues, seed, "train"),
      writeDialogues(heldOut, seed, "test"),
    ),
  };
  const train = await collectFeedback(drawPrompts(prompts, seed, "train"), seed, writers);
  const test = await collectFeedback(drawPrompts(heldOut, seed, "test"), seed, writers);
  const feedback = await writeRows(folder, "feedback", train, test);
  const [trainPairs, testPairs] = [await toPairs(train, seed), await toPairs(test, seed)];
  return {
    ...data,
    feedback,
    pairs: await writeRows(folder, "pairs", trainPairs.pairs, testPairs.pairs),
    trainReport: trainPairs.report,
    testReport: testPairs.report,
  };
}

/** The rows of one file as pairs by the paper's rule, and the count of those dropped. */
export async function toPairs(
  feedback: readonly FeedbackRow[],
  seed: number,
): Promise<{ readonly pairs: PairRow[]; readonly report: BinarizeReport }> {
  const rows = feedback.map((row, index): SourceRow => ({ source: "feedback", index, fields: { ...row } }));
  const binarized = binarize(rows, { rule: "mean", seed });
  const pairs: PairRow[] = [];
  for await (const pair of binarized) pairs.push(pair);
  return { pairs, report: binarized.report };
}

async function writeRows(
  folder: string,
  name: string,
  train: readonly object[],
  test: readonly object[],
): Promise<string> {
  const path = join(folder, name);
  await makeFolder(path);
  for (const [split, rows] of [
    ["train", train],
    ["test", test],
  ] as const) {
    await writeFileAtomic(join(path, `${split}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  }
  return path;
}
