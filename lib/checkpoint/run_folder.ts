import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, FileError } from "../base/errors.js";
import { makeFolder, recoverFolder, writeFileAtomic, writeFolderAtomic } from "../base/files.js";
import { isObject } from "../base/json.js";
import { type Manifest, readManifest, writeManifest } from "./manifest.js";

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What must not change between the parts of one run: the model, the data, the settings that shape a step. */
export type RunIdentity = { readonly [key: string]: Json };

export interface Checkpoint {
  readonly step: number;
  readonly path: string;
  readonly manifest: Manifest;
}

export const RUN_FILE = "run.json";
/** What tells of a run when it has ended. */
const RESULTS = ["log.jsonl", "report.md", "summary.json"];

export const checkpointName = (step: number): string => `checkpoint-${step}`;

/** A short name for an identity; the order of its keys does not matter. */
export function hashRun(identity: RunIdentity): string {
  const sorted = (_: string, value: unknown): unknown =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  return createHash("sha256").update(JSON.stringify(identity, sorted)).digest("hex").slice(0, 16);
}

/**
 * Takes `outputDir` for a run: makes it and writes `run.json`, or finds that it is this run's already. Refuses what
 * `checkRunFolder` refuses; with `overwrite` another run's folder is taken over, and its checkpoints and results are deleted.
 * Returns whether the folder already was this run's.
 */
export async function claimRunFolder(
  outputDir: string,
  identity: RunIdentity,
  options: { overwrite?: boolean } = {},
): Promise<boolean> {
  if (await checkRunFolder(outputDir, identity, options)) return true;
  await makeFolder(outputDir);
  if (options.overwrite === true) {
    await deleteCheckpoints(outputDir);
    for (const name of RESULTS) await rm(join(outputDir, name), { force: true });
  }
  await writeFileAtomic(join(outputDir, RUN_FILE), `${JSON.stringify(identity, null, 2)}\n`);
  return false;
}

/**
 * Whether `outputDir` is this run's already; nothing is written. A folder of another run, or one with a model or
 * checkpoints that no run of ours wrote, is refused with a ConfigError that says what differs, unless it is to be
 * overwritten. Another run that ended before it logged anything has no claim.
 */
export async function checkRunFolder(
  outputDir: string,
  identity: RunIdentity,
  { overwrite = false }: { overwrite?: boolean } = {},
): Promise<boolean> {
  const names = await readdir(outputDir).catch((cause): string[] => {
    if (cause.code === "ENOENT") return [];
    const what = cause.code === "ENOTDIR" ? "a file is there, expected a folder" : cause.message;
    throw new FileError(outputDir, what, { cause });
  });
  const owner = names.includes(RUN_FILE) ? await readRun(outputDir) : undefined;
  if (owner !== undefined && hashRun(owner) === hashRun(identity)) return true;
  if (overwrite) return false;
  const found = names.find((name) => /^(?:checkpoint-\d+|config\.json|model.*\.safetensors)$/.test(name));
  if (owner !== undefined && (found !== undefined || names.includes("log.jsonl"))) {
    const difference = describeDifference(owner, identity);
    throw new ConfigError("output_dir", `${outputDir} belongs to another run: ${difference}; ${CURE}`);
  }
  if (found !== undefined) {
    throw new ConfigError("output_dir", `${outputDir} holds ${found}, which no run here wrote; ${CURE}`);
  }
  return false;
}

/** The hash of the run that a model's folder is the output of, or null for a model from elsewhere. */
export async function runOf(modelFolder: string): Promise<string | null> {
  const owner = await readRun(modelFolder);
  return owner === undefined ? null : hashRun(owner);
}

const CURE = "name another folder, or set overwrite_output_dir: true";

async function readRun(outputDir: string): Promise<RunIdentity | undefined> {
  const path = join(outputDir, RUN_FILE);
  const text = await readFile(path, "utf8").catch((cause) => {
    if (cause.code === "ENOENT") return undefined;
    throw new FileError(path, cause.message, { cause });
  });
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value as RunIdentity;
  } catch {}
  throw new FileError(path, "not a JSON object; delete it if no run needs this folder");
}

function describeDifference(owner: RunIdentity, identity: RunIdentity): string {
  const keys = [...new Set([...Object.keys(owner), ...Object.keys(identity)])];
  const show = (value: Json | undefined): string => JSON.stringify(value)?.slice(0, 60) ?? "absent";
  const facts = keys
    .filter((key) => hashRun({ value: owner[key] ?? null }) !== hashRun({ value: identity[key] ?? null }))
    .map((key) => `${key} was ${show(owner[key])}, now ${show(identity[key])}`);
  return `${facts.slice(0, 3).join(", ")}${facts.length > 3 ? ` and ${facts.length - 3} more differ` : ""}`;
}

/**
 * Writes `outputDir`/checkpoint-`step` whole or not at all: `build` fills a hidden folder, the manifest is added, and
 * the folder is moved into place. Only then are older checkpoints deleted, so that at most `saveTotalLimit` remain;
 * those with a later step, left by an earlier attempt, go first. Returns the folder's path.
 */
export async function saveCheckpoint(
  outputDir: string,
  run: { step: number; hash: string; saveTotalLimit?: number | undefined },
  build: (folder: string) => Promise<void>,
): Promise<string> {
  const path = join(outputDir, checkpointName(run.step));
  const write = async (folder: string): Promise<void> => {
    await build(folder);
    await writeManifest(folder, run.step, run.hash);
  };
  await writeFolderAtomic(path, write, { replace: true });
  if (run.saveTotalLimit !== undefined) await rotateCheckpoints(outputDir, run.step, run.saveTotalLimit);
  return path;
}

/** Deletes complete checkpoints until `limit` remain, never the one of `step`: later steps first, then the oldest. */
export async function rotateCheckpoints(outputDir: string, step: number, limit: number): Promise<void> {
  const others = (await listCheckpoints(outputDir)).filter((checkpoint) => checkpoint.step !== step);
  const order = [...others.filter((other) => other.step > step), ...others.filter((other) => other.step < step)];
  for (const { path } of order.slice(0, Math.max(0, order.length - Math.max(limit, 1) + 1))) {
    await rm(path, { recursive: true, force: true });
  }
}

/** The complete checkpoints of a run, by ascending step. Folders that a dead run was replacing are put right first. */
export async function listCheckpoints(outputDir: string): Promise<Checkpoint[]> {
  const names = await readdir(outputDir).catch(() => []);
  const targets = new Set(
    names.map((name) => /^\.?(checkpoint-\d+)(?:\.|$)/.exec(name)?.[1]).filter((name) => name !== undefined),
  );
  const checkpoints: Checkpoint[] = [];
  for (const name of targets) {
    const path = join(outputDir, name);
    await recoverFolder(path);
    const manifest = await readManifest(path).catch(() => undefined);
    if (manifest !== undefined && name === checkpointName(manifest.step)) {
      checkpoints.push({ step: manifest.step, path, manifest });
    }
  }
  return checkpoints.sort((a, b) => a.step - b.step);
}

/**
 * The checkpoint to go on from. `true` takes the latest complete one of `outputDir`, a string the folder it names.
 * Throws ConfigError when there is none, when it is incomplete, and when it is of another run than `hash`.
 */
export async function resolveResume(outputDir: string, resume: true | string, hash: string): Promise<Checkpoint> {
  const refuse = (message: string): never => {
    throw new ConfigError("resume_from_checkpoint", message);
  };
  let checkpoint: Checkpoint | undefined;
  if (resume === true) {
    checkpoint = (await listCheckpoints(outputDir)).at(-1);
    if (checkpoint === undefined) return refuse(`true, but ${outputDir} holds no complete checkpoint`);
  } else {
    const manifest = await readManifest(resume).catch((error: FileError) => refuse(error.message));
    checkpoint = { step: manifest.step, path: resume, manifest };
  }
  if (checkpoint.manifest.run !== hash) {
    refuse(
      `${checkpoint.path} is of another run (${checkpoint.manifest.run}, this one is ${hash}); its model, data or settings differ`,
    );
  }
  return checkpoint;
}

async function deleteCheckpoints(outputDir: string): Promise<void> {
  for (const { path } of await listCheckpoints(outputDir)) await rm(path, { recursive: true, force: true });
}
