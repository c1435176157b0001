import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { parseFeedbackGenerate } from "../../lib/recipe/feedback_generate.js";
import { parseFeedbackScore } from "../../lib/recipe/feedback_score.js";
import { parseRecipe } from "../../lib/recipe/parse.js";
import { checkSupported } from "../../lib/recipe/support.js";

const OPEN = ["--model_name_or_path=model", "--dataset_name=data.jsonl", "--output_dir=out"];

test.each(readdirSync("recipes").filter((file) => /(sft|dpo)\.yaml$/.test(file)))("recipes/%s can be run", (file) => {
  const kind = file.endsWith("dpo.yaml") ? "dpo" : "sft";
  const { recipe, ignored } = parseRecipe(kind, { path: `recipes/${file}`, overrides: OPEN });
  checkSupported(recipe);
  expect(ignored).toEqual([]);
});

test("dpo.yaml gives way to a command line that fixes every number", () => {
  const { recipe, notes } = parseRecipe("dpo", {
    path: "recipes/dpo.yaml",
    overrides: [
      ...OPEN,
      ...["--chat_template=zephyr", "--data_order=sequential", "--max_steps=20", "--per_device_train_batch_size=8"],
      ...["--gradient_accumulation_steps=1", "--learning_rate=1e-4", "--lr_scheduler_type=linear", "--warmup_ratio=0"],
      ...["--beta=0.1", "--max_length=512", "--logging_steps=1"],
    ],
  });
  expect(notes).toEqual([]);
  expect(recipe).toMatchObject({
    chat_template: "zephyr",
    data_order: "sequential",
    max_steps: 20,
    per_device_train_batch_size: 8,
    gradient_accumulation_steps: 1,
    learning_rate: 1e-4,
    lr_scheduler_type: "linear",
    warmup_ratio: 0,
    warmup_steps: 0,
    beta: 0.1,
    max_length: 512,
    max_prompt_length: null,
    label_smoothing: 0,
    weight_decay: 0,
    max_grad_norm: 1,
    auto_insert_empty_system_msg: false,
  });
});

test("the Zephyr recipes are the paper's", () => {
  const sft = parseRecipe("sft", { path: "recipes/zephyr-7b-beta-sft.yaml" }).recipe;
  expect(sft.per_device_train_batch_size * sft.gradient_accumulation_steps).toBe(512);
  expect(sft).toMatchObject({
    num_train_epochs: 1,
    learning_rate: 2e-5,
    lr_scheduler_type: "cosine",
    warmup_ratio: 0.1,
  });
  expect(sft).toMatchObject({ packing: true, packing_strategy: "wrapped", max_length: 2048 });
  const dpo = parseRecipe("dpo", { path: "recipes/zephyr-7b-beta-dpo.yaml" }).recipe;
  expect(dpo.per_device_train_batch_size * dpo.gradient_accumulation_steps).toBe(32);
  expect(dpo).toMatchObject({
    num_train_epochs: 3,
    learning_rate: 5e-7,
    lr_scheduler_type: "linear",
    warmup_ratio: 0.1,
  });
  expect(dpo).toMatchObject({ beta: 0.1, max_length: 1024, max_prompt_length: 512, optim: "adamw" });
});

test("recipes/feedback-generate.yaml can be run", () => {
  const recipe = parseFeedbackGenerate({
    path: "recipes/feedback-generate.yaml",
    overrides: ["--prompts=prompts.jsonl", "--output=out.jsonl"],
  });
  expect(recipe).toMatchObject({ completions_per_prompt: 4, budget: { cost: 20 }, seed: 42 });
});

test("recipes/feedback-score.yaml can be run", () => {
  const recipe = parseFeedbackScore({
    path: "recipes/feedback-score.yaml",
    overrides: ["--input=completions.jsonl", "--output=out.jsonl"],
  });
  expect(recipe).toMatchObject({ overall: false, judge: { temperature: 0, rules: null }, budget: { cost: 50 } });
});
