import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { binarizeFile } from "../../lib/run/feedback.js";
import { generateText } from "../../lib/run/generate_text.js";
import { loadEngine } from "../../lib/run/load_engine.js";
import { readPromptRows } from "../../lib/run/prompt_rows.js";
import { type FakeFiles, FakeHub } from "../hub/fake_hub.js";
import { carryThrough, type Keys, refusal, temporaryFolder } from "./collect.js";
import { chatRows, makeModel, pairRows } from "./small_model.js";

const folder = temporaryFolder();
const hub = await FakeHub.start();
const local = await makeModel(join(folder, "model"));
const lines = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

/** The files of a folder as a commit has them, the weights large. */
function filesOf(path: string): FakeFiles {
  return Object.fromEntries(
    readdirSync(path).map((name) => [
      name,
      { bytes: readFileSync(join(path, name)), isLarge: name.endsWith(".safetensors") },
    ]),
  );
}

const commit = hub.push("model", "tiny/model", filesOf(local));
hub.push("dataset", "tiny/pairs", {
  "README.md": "pairs",
  "data/train_prefs-0.jsonl": lines(pairRows(12)),
  "data/test_prefs-0.jsonl": lines(pairRows(4)),
  "data/train_sft-0.jsonl": lines(chatRows(12)),
});
const chats = hub.push("dataset", "tiny/chats", { "train.jsonl": lines(chatRows(12)) });
hub.push("dataset", "tiny/chats", { "train.jsonl": lines(chatRows(3)) });

const names = ["HF_ENDPOINT", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_HOME"] as const;
const saved = new Map(names.map((name) => [name, process.env[name]]));
beforeAll(() => {
  Object.assign(process.env, { HF_ENDPOINT: hub.endpoint, HF_HOME: join(folder, "home") });
  for (const name of ["HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN"] as const) delete process.env[name];
});
afterAll(() => {
  for (const [name, value] of saved) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});
beforeEach(() => {
  hub.seen.length = 0;
});

const COMMON: Keys = { max_steps: 2, per_device_train_batch_size: 4, threads: 1, learning_rate: 1e-3, seed: 7 };
const resolved = (): string[] => hub.asked(/resolve/).map((url) => url.replace(/resolve\/[0-9a-f]{40}\//, ""));

describe("a run", () => {
  const keys: Keys = {
    ...COMMON,
    model_name_or_path: "tiny/model",
    dataset_mixer: { "tiny/pairs": 1 },
    dataset_splits: ["train_prefs", "test_prefs"],
    eval_strategy: "epoch",
  };

  test("of DPO takes model and data by their names, and ends as one from folders does", async () => {
    const [output, other] = [join(folder, "dpo"), join(folder, "dpo-local")];
    const events = await carryThrough("dpo", { ...keys, output_dir: output });
    expect(events.filter(({ kind }) => kind === "located").map((event) => "name" in event && event.name)).toEqual([
      "tiny/pairs",
      "tiny/model",
    ]);
    expect(events.some(({ kind }) => kind === "downloading")).toBe(true);
    const prepared = events.find((event) => event.kind === "prepared")!;
    expect(prepared.facts).toContainEqual(["model", `tiny/model at ${commit}`]);
    expect(prepared.facts).toContainEqual(["evaluation rows", 4]);
    expect(resolved()).not.toContain("/datasets/tiny/pairs/data/train_sft-0.jsonl");
    expect(JSON.parse(readFileSync(join(output, "run.json"), "utf8"))).toMatchObject({
      ...{ model_name_or_path: "tiny/model", model_commit: commit, dataset_mixer: { "tiny/pairs": 1 } },
    });

    const snapshots = join(folder, "home/hub/datasets--tiny--pairs/snapshots");
    const data = join(snapshots, readdirSync(snapshots)[0]!);
    const here = { dataset_mixer: { [data]: 1 }, model_name_or_path: local, output_dir: other };
    await carryThrough("dpo", { ...keys, ...here });
    const weights = (path: string) => readFileSync(join(path, "model.safetensors"));
    expect(weights(output).equals(weights(other))).toBe(true);
    expect(weights(output).equals(weights(local))).toBe(false);
  });

  test("goes on without the hub, and is not gone on with by another commit's weights", async () => {
    const output = join(folder, "resumed");
    const half = { ...keys, output_dir: output, save_steps: 1, max_steps: 2 };
    await carryThrough("dpo", half);
    hub.seen.length = 0;
    process.env.HF_HUB_OFFLINE = "1";
    const again = await carryThrough("dpo", { ...half, resume_from_checkpoint: true });
    delete process.env.HF_HUB_OFFLINE;
    expect(again.find((event) => event.kind === "prepared")!.facts).toContainEqual(["resumed after step", 2]);
    expect(hub.seen).toEqual([]);

    hub.push("model", "tiny/model", { ...filesOf(local), "generation_config.json": "{}" });
    const moved = await refusal(carryThrough("dpo", { ...half, resume_from_checkpoint: true }));
    expect(moved).toMatch(/belongs to another run: model_commit /);
    const pinned = { ...half, resume_from_checkpoint: true, model_revision: commit };
    expect((await carryThrough("dpo", pinned)).at(-1)).toMatchObject({ kind: "finished" });
  });

  test("of SFT takes a mixture's parts at their revisions, and a tokenizer of another name", async () => {
    hub.push("model", "tiny/tokenizer", filesOf(local));
    const part = { id: "tiny/chats", revision: chats };
    const events = await carryThrough("sft", {
      ...{ ...COMMON, model_name_or_path: local, tokenizer_name_or_path: "tiny/tokenizer" },
      ...{ dataset_mixture: { datasets: [part] }, output_dir: join(folder, "sft") },
    });
    const { facts } = events.find((event) => event.kind === "prepared")!;
    expect(facts).toContainEqual(["training rows", 12]);
    expect(facts).toContainEqual(["data set", `tiny/chats at ${chats}`]);
    expect(resolved()).toContain("/tiny/tokenizer/tokenizer.json");
    expect(resolved().filter((path) => path.endsWith(".safetensors"))).toEqual([]);
  });

  test("takes a mixer's data sets and a tokenizer at the revisions behind their names", async () => {
    const tokenizer = hub.push("model", "tiny/tokenizer", filesOf(local));
    hub.push("model", "tiny/tokenizer", { "config.json": "{}" });
    const events = await carryThrough("sft", {
      ...{ ...COMMON, model_name_or_path: local, tokenizer_name_or_path: `tiny/tokenizer@${tokenizer}` },
      ...{ dataset_mixer: { [`tiny/chats@${chats}`]: 1 }, output_dir: join(folder, "at") },
    });
    const { facts } = events.find((event) => event.kind === "prepared")!;
    expect(facts).toContainEqual(["data set", `tiny/chats at ${chats}`]);
    expect(facts).toContainEqual(["tokenizer", `tiny/tokenizer at ${tokenizer}`]);
  });

  test("takes dataset_name at dataset_revision", async () => {
    const run = (revision: Keys) =>
      carryThrough("sft", {
        ...{ ...COMMON, ...revision, model_name_or_path: local, dataset_name: "tiny/chats" },
        output_dir: join(folder, `sft-${revision.dataset_revision ?? "main"}`),
      });
    const rows = async (revision: Keys) => {
      const prepared = (await run(revision)).find((event) => event.kind === "prepared");
      return Object.fromEntries(prepared!.facts)["training rows"];
    };
    expect(await rows({})).toBe(3);
    expect(await rows({ dataset_revision: chats })).toBe(12);
    expect(await refusal(run({ dataset_revision: "v9" }))).toContain('has no revision "v9" of it');
  });

  test("that is stopped while it downloads has written nothing", async () => {
    hub.push("model", "tiny/slow", filesOf(local));
    const controller = new AbortController();
    hub.interfere = ({ server }) => {
      if (server === "store") controller.abort();
      return server === "store"; // which is left without an answer
    };
    const output = join(folder, "stopped");
    const run = carryThrough(
      "dpo",
      { ...keys, model_name_or_path: "tiny/slow", output_dir: output },
      { signal: controller.signal },
    );
    expect(await refusal(run)).toMatch(/^AbortedError: stopped while downloading tiny\/slow; /);
    expect(readdirSync(folder)).not.toContain("stopped");
    hub.interfere = () => false;
  });

  test("of a model that cannot be trained does not wait for its weights", async () => {
    const config = {
      ...JSON.parse(readFileSync(join(local, "config.json"), "utf8")),
      architectures: ["GPT2LMHeadModel"],
    };
    hub.push("model", "gpt2", { ...filesOf(local), "config.json": JSON.stringify(config) });
    const run = carryThrough("dpo", { ...keys, model_name_or_path: "gpt2", output_dir: join(folder, "gpt2") });
    expect(await refusal(run)).toMatch(/^ModelError: .*config\.json: architectures: \["GPT2LMHeadModel"\], expected/);
    expect(hub.asked(/gpt2.*safetensors/)).toEqual([]);
  });
});

test("a model is loaded by its name to answer, and tells its commit", async () => {
  await using engine = await loadEngine("tiny/model", { device: "cpu", threads: 1, hub: { revision: commit } });
  expect(engine.commit).toBe(commit);
  const options = { device: "cpu", threads: 1, temperature: 0, maxNewTokens: 4, raw: true };
  const [named, here] = [
    await generateText("tiny/model", "the old", options),
    await generateText(local, "the old", options),
  ];
  expect(named).toEqual(here);
});

test("prompts and scored completions are read by their names", async () => {
  hub.push("dataset", "tiny/prompts", {
    "data/train-0.jsonl": lines([{ prompt: "Hi" }]),
    "data/test-0.jsonl": lines([{}]),
  });
  expect((await readPromptRows("tiny/prompts")).map(({ prompt }) => prompt)).toEqual(["Hi"]);
  const completion = (response: string, Rating: string) => ({
    ...{ model: "m", response, "fine-grained_score": Number(Rating) },
    annotations: { helpfulness: { Rating, Rationale: "" } },
  });
  const row = { source: "s", instruction: "Hi", completions: [completion("good", "5"), completion("bad", "1")] };
  hub.push("dataset", "tiny/scored", { "train.jsonl": lines([row]) });
  const counts = await binarizeFile("tiny/scored", join(folder, "pairs.jsonl"), { rule: "mean", seed: 0 });
  expect(counts).toMatchObject({ rows: 1, pairs: 1 });
});
