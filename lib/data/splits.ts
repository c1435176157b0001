import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FileError } from "../base/errors.js";

const READABLE = /\.(json|(jsonl|ndjson)(\.gz)?)$/;

// A data set without a test split often has a validation split, and the other way round.
const STAND_INS: ReadonlyMap<string, string> = new Map([
  ["test", "validation"],
  ["validation", "test"],
]);

const namesFor = (split: string): string[] => [split, STAND_INS.get(split) ?? split];

/**
 * The files of a folder that make up a split, by name: `train.jsonl`, `train-00000-of-00002.jsonl`, `data/train.jsonl`;
 * where none is called so, those that begin so (`train_prefs.jsonl` for `train`). Throws FileError where there is none.
 */
export async function splitFiles(folder: string, split: string): Promise<string[]> {
  const names = await readableNames(folder);
  for (const name of namesFor(split)) {
    const files = matching(names, name);
    if (files.length > 0) return files.map((file) => join(folder, file));
  }
  const there = names.length === 0 ? "no .jsonl, .json or .jsonl.gz file" : names.slice(0, 8).join(", ");
  throw new FileError(folder, `has no file for the split ${JSON.stringify(split)}: found ${there}`);
}

/** Whether a folder has files for a split of its own, or for one that stands in for it. */
export async function hasSplit(folder: string, split: string): Promise<boolean> {
  const names = await readableNames(folder);
  return namesFor(split).some((name) => matching(names, name).length > 0);
}

function matching(names: readonly string[], split: string): string[] {
  const base = (name: string): string => name.slice(name.lastIndexOf("/") + 1);
  const exact = names.filter((name) => base(name).startsWith(split) && /^[-.]/.test(base(name).slice(split.length)));
  return exact.length > 0 ? exact : names.filter((name) => base(name).startsWith(split));
}

async function readableNames(folder: string): Promise<string[]> {
  const list = async (sub: string): Promise<string[]> => {
    const entries = await readdir(join(folder, sub), { withFileTypes: true }).catch((cause) => {
      throw new FileError(folder, `cannot be read: ${cause.message}`, { cause });
    });
    return entries
      .filter((entry) => !entry.isDirectory() && READABLE.test(entry.name))
      .map((entry) => (sub === "" ? entry.name : `${sub}/${entry.name}`));
  };
  const own = (await list("")).sort();
  const nested = own.length > 0 ? [] : await list("data").catch(() => []);
  return own.length > 0 ? own : nested.sort();
}
