import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { FileError } from "../base/errors.js";
import { holdsRows, kindOf, READABLE } from "./file_kind.js";

// A data set without a test split often has a validation split, and the other way round.
const STAND_INS: ReadonlyMap<string, string> = new Map([
  ["test", "validation"],
  ["validation", "test"],
]);

/** A split's name, and behind it that of the one that stands in for it. */
export const namesFor = (split: string): string[] => [split, STAND_INS.get(split) ?? split];

/**
 * The files of a folder that make up a split, in order of their names, as the Hugging Face hub lays them out:
 *
 * - named for it, `train.jsonl`, `train-00000-of-00002.parquet`, or in a folder that is, `train/0000.parquet`; where none
 *   is called so, those that begin so (`train_prefs.jsonl` for `train`), if they are of one split; for `train`, all files
 *   where none is named for any split;
 * - of the folder itself, else of its `data`, else of the folder of a configuration: `default`, or the only one.
 *
 * Throws FileError where there is none, and where several splits, configurations or kinds of files could be meant.
 */
export async function splitFiles(folder: string, split: string): Promise<string[]> {
  const files = await readableFiles(folder);
  const found = ofSplit(files, split);
  const fault = (what: string, which: readonly DataFile[]): FileError =>
    new FileError(folder, `has ${what} for the split ${JSON.stringify(split)}: found ${listOf(which)}`);
  if (found.length === 0) throw fault("no file", files);
  if (namesOf(found).size > 1) throw fault("several splits", found);

  const names = new Set(found.map(({ configuration }) => configuration));
  const name = names.size === 1 ? [...names][0] : ["", "default"].find((preferred) => names.has(preferred));
  if (name === undefined) throw fault("several configurations", found);
  const chosen = found.filter(({ configuration }) => configuration === name);
  if (new Set(chosen.map(({ kind }) => kind)).size > 1) throw fault("several kinds of files", chosen);
  const least = Math.min(...chosen.map(({ folders }) => folders.length));
  return chosen.filter(({ folders }) => folders.length === least).map(({ path }) => join(folder, path));
}

/** Whether a folder has files for a split, or for one that stands in for it; not where several begin with its name. */
export async function hasSplit(folder: string, split: string): Promise<boolean> {
  return namesOf(ofSplit(await readableFiles(folder), split)).size === 1;
}

const namesOf = (files: readonly FoundFile[]): Set<string> => new Set(files.map(({ ownSplit }) => ownSplit));

interface DataFile {
  readonly path: string; // in the folder
  readonly folders: readonly string[]; // on the way to it
  readonly name: string;
  readonly kind: string;
  /** The name without number and kind: `train` of `train-00000-of-00002.parquet`. */
  readonly stem: string;
}

interface FoundFile extends DataFile {
  /** The split by its own name, which may only begin like the one asked for. */
  readonly ownSplit: string;
  /** The folders that are named for something else than the split. */
  readonly configuration: string;
}

function ofSplit(files: readonly DataFile[], split: string): FoundFile[] {
  const foundFile = (file: DataFile, asked: string | undefined, ownSplit: string): FoundFile => {
    const others = file.folders.filter((name) => name !== "data" && !(asked !== undefined && name.startsWith(asked)));
    return { ...file, ownSplit, configuration: others.join("/") };
  };
  for (const asked of namesFor(split)) {
    const isNamed = ({ name }: DataFile): boolean => name.startsWith(asked) && /^[-.]/.test(name.slice(asked.length));
    const exact = files.filter((file) => isNamed(file) || file.folders.includes(asked));
    if (exact.length > 0) return exact.map((file) => foundFile(file, asked, asked));
    const alike = files.flatMap((file) => {
      const own = [file.stem, ...file.folders].find((name) => name.startsWith(asked));
      return own === undefined ? [] : [foundFile(file, asked, own)];
    });
    if (alike.length > 0) return alike;
  }
  const isOpen = split === "train" && !files.some(({ path }) => SPLIT_WORD.test(path));
  return isOpen ? files.map((file) => foundFile(file, undefined, split)) : [];
}

const SPLIT_WORD = /(^|[^a-z])(train|training|test|testing|eval|evaluation|val|valid|validation|dev)([^a-z]|$)/i;

/** The files in words, those that differ in their number together, so that the splits that are there can be seen. */
function listOf(files: readonly DataFile[]): string {
  if (files.length === 0) return `no ${READABLE}`;
  const groups = new Map<string, string[]>();
  for (const { path, folders, stem, kind } of files) {
    const key = [...folders, `${stem}*${kind}`].join("/");
    groups.set(key, [...(groups.get(key) ?? []), path]);
  }
  const shown = [...groups].map(([key, [first, ...more]]) =>
    more.length === 0 ? first! : `${key} (${more.length + 1} files)`,
  );
  return shown.length <= MOST_SHOWN ? shown.join(", ") : `${shown.slice(0, MOST_SHOWN).join(", ")} and more`;
}

const MOST_SHOWN = 12;

/** How far down files are looked for: `data/configuration/split/file`. */
const MOST_FOLDERS = 3;

async function readableFiles(folder: string): Promise<DataFile[]> {
  const files: DataFile[] = [];
  const list = async (folders: readonly string[]): Promise<void> => {
    const entries = await readdir(join(folder, ...folders), { withFileTypes: true }).catch((cause) => {
      throw new FileError(folder, `cannot be read: ${cause.message}`, { cause });
    });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const { name } = entry;
      if (name.startsWith(".")) continue;
      const kind = holdsRows(name) ? kindOf(name) : undefined;
      const path = join(folder, ...folders, name);
      if (entry.isDirectory() || (kind === undefined && entry.isSymbolicLink() && (await isFolder(path)))) {
        if (folders.length < MOST_FOLDERS) await list([...folders, name]);
      } else if (kind !== undefined) {
        const stem = name.slice(0, -kind.length).replace(/[-_.]?(\d+-of-\d+.*|\d+)$/, "");
        files.push({ path: [...folders, name].join("/"), folders, name, kind, stem });
      }
    }
  };
  await list([]);
  return files;
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
