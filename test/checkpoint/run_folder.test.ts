import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ConfigError, FileError } from "../../lib/base/errors.js";
import { MANIFEST_FILE, readManifest } from "../../lib/checkpoint/manifest.js";
import {
  claimRunFolder,
  hashRun,
  listCheckpoints,
  RUN_FILE,
  resolveResume,
  saveCheckpoint,
} from "../../lib/checkpoint/run_folder.js";

let root: string;
let output: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "westwind-run-"));
  output = join(root, "a", "output");
  mkdirSync(output, { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const RUN = { model: "m", learning_rate: 1e-3, data: ["x", "y"] };
const hash = hashRun(RUN);
const save = (step: number, saveTotalLimit?: number, content = `step ${step}`) =>
  saveCheckpoint(output, { step, hash, saveTotalLimit }, async (folder) => {
    mkdirSync(join(folder, "optimizer"));
    writeFileSync(join(folder, "model.safetensors"), content);
    writeFileSync(join(folder, "optimizer", "state"), "12345");
  });
const steps = async () => (await listCheckpoints(output)).map(({ step }) => step);

test("the hash of a run follows its values, not the order of its keys", () => {
  expect(hashRun({ data: ["x", "y"], learning_rate: 1e-3, model: "m" })).toBe(hash);
  expect(hashRun({ ...RUN, data: ["y", "x"] })).not.toBe(hash);
  expect(hashRun({ ...RUN, learning_rate: 2e-3 })).not.toBe(hash);
  expect(hashRun({ a: { c: 1, b: 2 } })).toBe(hashRun({ a: { b: 2, c: 1 } }));
});

test("a folder is made, claimed, and found again by the same run", async () => {
  rmSync(join(root, "a"), { recursive: true });
  expect(await claimRunFolder(output, RUN)).toBe(false);
  expect(JSON.parse(readFileSync(join(output, RUN_FILE), "utf8"))).toEqual(RUN);
  await save(5);
  expect(await claimRunFolder(output, RUN)).toBe(true);
  expect(await claimRunFolder(output, RUN, { overwrite: true })).toBe(true);
  expect(await steps()).toEqual([5]);
});

test("the folder of another run is refused with what differs, unless overwritten", async () => {
  await claimRunFolder(output, RUN);
  await save(5);
  const other = { model: "m", learning_rate: 2e-3, data: ["x", "y"], seed: 1 };
  const failure = await claimRunFolder(output, other).catch((error) => error);
  expect(failure).toBeInstanceOf(ConfigError);
  expect(failure.message).toBe(
    `output_dir: ${output} belongs to another run: learning_rate was 0.001, now 0.002, seed was absent, now 1; ` +
      "name another folder, or set overwrite_output_dir: true",
  );
  expect(await steps()).toEqual([5]);
  for (const name of ["log.jsonl", "report.md", "summary.json", "notes.txt"]) writeFileSync(join(output, name), "old");
  expect(await claimRunFolder(output, other, { overwrite: true })).toBe(false);
  expect(await steps()).toEqual([]);
  expect(readdirSync(output).sort()).toEqual(["notes.txt", "run.json"]);
  expect(await claimRunFolder(output, other)).toBe(true);
});

test.each(["config.json", "model.safetensors", "model-00001-of-00002.safetensors", "checkpoint-7"])(
  "a folder with a %s of unknown origin is refused",
  async (name) => {
    writeFileSync(join(output, name), "precious");
    await expect(claimRunFolder(output, RUN)).rejects.toThrow(ConfigError);
    await expect(claimRunFolder(output, RUN)).rejects.toThrow(`holds ${name}, which no run here wrote`);
    expect(readdirSync(output)).toEqual([name]);
  },
);

test("a folder with other files may be claimed; a file in its place, or a damaged run.json, is an error", async () => {
  writeFileSync(join(output, "notes.txt"), "");
  expect(await claimRunFolder(output, RUN)).toBe(false);
  await expect(claimRunFolder(join(output, "notes.txt"), RUN)).rejects.toThrow(FileError);
  writeFileSync(join(output, RUN_FILE), "{");
  await expect(claimRunFolder(output, RUN)).rejects.toThrow("run.json: not a JSON object");
});

test("a checkpoint is complete when it appears, and lists its files", async () => {
  const path = await saveCheckpoint(output, { step: 10, hash }, async (folder) => {
    writeFileSync(join(folder, "state"), "abc");
    expect(await steps()).toEqual([]);
  });
  expect(path).toBe(join(output, "checkpoint-10"));
  expect(readdirSync(output)).toEqual(["checkpoint-10"]);
  expect(await readManifest(path)).toEqual({
    format: "westwind-checkpoint",
    step: 10,
    run: hash,
    files: { state: 3 },
  });
});

test("checkpoints are listed by step as numbers; incomplete ones are not", async () => {
  for (const step of [100, 20, 3]) await save(step);
  mkdirSync(join(output, "checkpoint-500"));
  mkdirSync(join(output, "checkpoint-x"));
  writeFileSync(join(output, "checkpoint-600"), "");
  expect(await steps()).toEqual([3, 20, 100]);
  rmSync(join(output, "checkpoint-100", MANIFEST_FILE));
  rmSync(join(output, "checkpoint-20", "optimizer", "state"));
  expect(await steps()).toEqual([3]);
  writeFileSync(join(output, "checkpoint-3", "model.safetensors"), "shorter or longer");
  expect(await steps()).toEqual([]);
  expect(await listCheckpoints(join(output, "none"))).toEqual([]);
});

test("the oldest are deleted beyond the limit, and only when the new one is there", async () => {
  await save(10, 2);
  await save(20, 2);
  expect(await steps()).toEqual([10, 20]);
  const failing = saveCheckpoint(output, { step: 30, hash, saveTotalLimit: 2 }, async () => {
    throw new Error("disk full");
  });
  await expect(failing).rejects.toThrow("disk full");
  expect(await steps()).toEqual([10, 20]);
  await save(30, 2);
  expect(await steps()).toEqual([20, 30]);
  await save(40, 1);
  expect(await steps()).toEqual([40]);
});

test("later steps, left by an earlier attempt, go before the oldest; the one just saved stays", async () => {
  for (const step of [10, 20, 90, 100]) await save(step);
  await save(30, 3);
  expect(await steps()).toEqual([10, 20, 30]);
  await save(5, 1);
  expect(await steps()).toEqual([5]);
});

test("a checkpoint saved again replaces the one that was there", async () => {
  await save(10);
  await save(10, undefined, "again");
  expect(readFileSync(join(output, "checkpoint-10", "model.safetensors"), "utf8")).toBe("again");
  expect(readdirSync(output)).toEqual(["checkpoint-10"]);
});

test("resuming takes the latest complete checkpoint, or the one named", async () => {
  await save(10);
  await save(9);
  mkdirSync(join(output, "checkpoint-11"));
  expect(await resolveResume(output, true, hash)).toMatchObject({ step: 10, path: join(output, "checkpoint-10") });
  expect(await resolveResume("elsewhere", join(output, "checkpoint-9"), hash)).toMatchObject({ step: 9 });
});

test("resuming from nothing, from an incomplete checkpoint and from another run are errors", async () => {
  const refusal = async (resume: true | string, of = hash) => {
    const failure = await resolveResume(output, resume, of).catch((error) => error);
    expect(failure).toBeInstanceOf(ConfigError);
    return failure.message;
  };
  expect(await refusal(true)).toBe(`resume_from_checkpoint: true, but ${output} holds no complete checkpoint`);
  await save(10);
  const path = join(output, "checkpoint-10");
  expect(await refusal(true, "0123")).toContain(`resume_from_checkpoint: ${path} is of another run`);
  expect(await refusal(join(root, "none"))).toContain(
    "manifest.json: no such file, so this is not a complete checkpoint",
  );
  writeFileSync(join(path, "model.safetensors"), "cut");
  expect(await refusal(path)).toContain("model.safetensors: 3 bytes long, expected 7 bytes as manifest.json says");
  rmSync(join(path, "model.safetensors"));
  expect(await refusal(path)).toContain("model.safetensors: missing");
  writeFileSync(join(path, MANIFEST_FILE), '{"files": {}}');
  expect(await refusal(path)).toContain("not the manifest of a checkpoint");
  expect(existsSync(path)).toBe(true);
});
