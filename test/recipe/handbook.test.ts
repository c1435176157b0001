import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseRecipe } from "../../lib/recipe/parse.js";
import { checkSupported } from "../../lib/recipe/support.js";
import { sharedData } from "../shared_data.js";
import { problemsOf } from "./errors.js";

const FOLDER = sharedData("recipes");
const files = FOLDER
  ? readdirSync(FOLDER, { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".yaml"))
  : [];
const kindOf = (file: string) => (file.includes("/dpo/") ? "dpo" : "sft");

describe.skipIf(files.length === 0)("every recipe of the alignment-handbook", () => {
  test.each(files)("%s is read as it is", (file) => {
    const { recipe, ignored } = parseRecipe(kindOf(file), { path: join(FOLDER!, file) });
    expect(recipe.model_name_or_path).toMatch(/\//);
    expect(recipe.seed).toBe(42);
    expect(new Set(ignored).size).toBe(ignored.length);
  });

  test.each(files)("%s is read with data and model of this machine, and supported without what is not here", (file) => {
    const overrides = ["--model_name_or_path=models/a", "--dataset_name=data/a.jsonl", "--output_dir=out"];
    const { recipe } = parseRecipe(kindOf(file), {
      path: join(FOLDER!, file),
      overrides: [
        ...overrides,
        ...["--optim=adamw_torch", "--use_peft=false", "--load_in_4bit=false"],
        ...(kindOf(file) === "dpo" ? ["--loss_type=sigmoid"] : ["--eos_token=null"]),
      ],
    });
    expect(recipe).toMatchObject({ dataset_name: "data/a.jsonl", dataset_mixer: null, dataset_mixture: null });
    expect(() => checkSupported(recipe)).not.toThrow();
  });

  test("values of one file of each kind", () => {
    const sft = parseRecipe("sft", { path: join(FOLDER!, "v0.2.0/zephyr-7b-beta/sft/config_full.yaml") }).recipe;
    expect(sft).toMatchObject({
      model_name_or_path: "mistralai/Mistral-7B-v0.1",
      dataset_mixer: { "HuggingFaceH4/ultrachat_200k": 1 },
      dataset_splits: ["train_sft", "test_sft"],
      eval_strategy: "epoch",
      max_length: 2048,
      learning_rate: 2e-5,
      lr_scheduler_type: "cosine",
      per_device_train_batch_size: 32,
      gradient_accumulation_steps: 2,
      save_strategy: "no",
      dtype: "bfloat16",
    });
    const { recipe, ignored } = parseRecipe("dpo", { path: join(FOLDER!, "HEAD/smollm3/dpo/apo.yaml") });
    expect(recipe).toMatchObject({
      beta: 0.05,
      loss_type: ["apo_zero"],
      lr_scheduler_kwargs: { min_lr_rate: 0.1, min_lr: null },
      save_steps: 0.5,
      max_length: 24576,
    });
    expect(recipe.dataset_mixture?.datasets.map(({ weight }) => weight)).toEqual([0.5, 0.25]);
    expect(ignored).toContain("padding_free: rows are never padded");
    expect(problemsOf(() => checkSupported(recipe))[0]).toMatch(
      /^loss_type: "apo_zero", this version supports sigmoid/,
    );
  });
});
