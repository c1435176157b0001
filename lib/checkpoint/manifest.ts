import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { FileError } from "../base/errors.js";
import { writeFileAtomic } from "../base/files.js";
import { isObject } from "../base/json.js";

export const MANIFEST_FILE = "manifest.json";

/** Says that a checkpoint is complete and what it is of. It is written last, as `manifest.json`. */
export interface Manifest {
  readonly format: "westwind-checkpoint";
  readonly step: number;
  /** hashRun of the run that wrote it. */
  readonly run: string;
  /** Every other file of the folder, with its length in bytes. */
  readonly files: { readonly [path: string]: number };
}

/** Lists the files of a checkpoint that is otherwise complete. */
export async function writeManifest(folder: string, step: number, run: string): Promise<void> {
  const manifest: Manifest = { format: "westwind-checkpoint", step, run, files: await listFiles(folder) };
  await writeFileAtomic(join(folder, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** Reads the manifest of a checkpoint and holds every file it lists to its length. Throws FileError. */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, MANIFEST_FILE);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    const what = isMissing ? "no such file, so this is not a complete checkpoint" : (cause as Error).message;
    throw new FileError(path, what, { cause });
  }
  if (!isManifest(value)) throw new FileError(path, "not the manifest of a checkpoint");
  for (const [name, length] of Object.entries(value.files)) {
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found?.size !== length) {
      const what = found === undefined ? "missing" : `${found.size} bytes long`;
      throw new FileError(join(folder, name), `${what}, expected ${length} bytes as ${MANIFEST_FILE} says`);
    }
  }
  return value;
}

async function listFiles(folder: string, prefix = ""): Promise<Record<string, number>> {
  const files: Record<string, number> = {};
  for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
    const name = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isDirectory()) Object.assign(files, await listFiles(folder, name));
    else files[name] = (await stat(join(folder, name))).size;
  }
  return files;
}

function isManifest(value: unknown): value is Manifest {
  if (!isObject(value) || !isObject(value.files)) return false;
  return (
    value.format === "westwind-checkpoint" &&
    Number.isSafeInteger(value.step) &&
    typeof value.run === "string" &&
    Object.values(value.files).every((length) => Number.isSafeInteger(length))
  );
}
