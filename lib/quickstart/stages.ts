import { readdir, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { ConfigError } from "../base/errors.js";
import { makeFolder } from "../base/files.js";
import { saveModel } from "../checkpoint/save_model.js";
import { readModelConfig } from "../model/config.js";
import { initialise } from "../model/init.js";
import { Llama } from "../model/llama.js";
import { type AlignRecipe, parseAlignRecipe } from "../recipe/align.js";
import { type ParsedRecipe, parseRecipe } from "../recipe/parse.js";
import type { SftRecipe } from "../recipe/schema.js";
import { Device } from "../tensor/device.js";
import { Tokenizer } from "../text/tokenizer.js";
import { type QuickstartData, writeQuickstartData } from "./data.js";

const SEED = 42;
const HELD_OUT = 200;
/** Where the models lie whose answers are rated, in the recipe's order. */
const ENSEMBLE = ["base", "sft/checkpoint-100", "sft", "sft"];
const packageRoot = fileURLToPath(new URL("../..", import.meta.url));

/** Where each stage leaves its model. */
export interface QuickstartFolders {
  readonly base: string;
  readonly sft: string;
  readonly dpo: string;
}

export interface QuickstartPlan {
  readonly base: ParsedRecipe<SftRecipe>;
  readonly align: AlignRecipe;
  readonly data: QuickstartData;
  readonly folders: QuickstartFolders;
}

/**
 * Empties `folder` of an earlier quickstart, writes the data and the untrained model into it, and fills the recipes'
 * paths in. Throws ConfigError for a folder that holds anything else.
 */
export async function planQuickstart(folder: string): Promise<QuickstartPlan> {
  await emptyFolder(folder);
  const at = (name: string): string => join(folder, name);
  const baseSource = { path: join(packageRoot, "recipes/quickstart/base.yaml") };
  const base = parseRecipe("sft", {
    ...baseSource,
    overrides: [
      `--model_name_or_path=${at("untrained")}`,
      `--dataset_name=${at("data/texts")}`,
      `--output_dir=${at("base")}`,
    ],
  });
  const align = parseAlignRecipe({
    path: join(packageRoot, "recipes/quickstart/align.yaml"),
    overrides: [
      `--output_dir=${folder}`,
      `--sft.model_name_or_path=${at("base")}`,
      `--sft.dataset_name=${at("data/dialogues")}`,
      `--feedback.generate.prompts=${at("data/prompts.jsonl")}`,
      ...ENSEMBLE.map((model, i) => `--feedback.generate.models.${i}.model=${at(model)}`),
      `--feedback.score.judge.rules=${createRequire(import.meta.url).resolve("#quickstart_rules")}`,
    ],
  });
  const sizes = {
    texts: base.recipe.max_train_samples!,
    dialogues: align.sft!.recipe.max_train_samples!,
    prompts: align.feedback!.generate!.limit!,
    heldOut: HELD_OUT,
  };
  const data = await writeQuickstartData(at("data"), sizes, SEED);
  await writeUntrained(at("untrained"));
  return { base, align, data, folders: { base: at("base"), sft: at("sft"), dpo: at("dpo") } };
}

// What a quickstart leaves, whole or killed.
const OWN = /^(?:base|data|dpo|feedback|report\.md|sft|untrained|\.report\.md\..*)$/;

async function emptyFolder(folder: string): Promise<void> {
  await makeFolder(folder);
  const names = await readdir(folder);
  const other = names.find((name) => !OWN.test(name));
  if (other !== undefined) {
    const found = `${folder} holds ${other}, which no quickstart wrote`;
    throw new ConfigError("output_dir", `${found}; name another folder`);
  }
  for (const name of names) await rm(join(folder, name), { recursive: true });
}

/** A model of the shape in assets/quickstart with weights drawn at random, and its tokenizer. */
async function writeUntrained(folder: string): Promise<void> {
  const assets = join(packageRoot, "assets/quickstart");
  using device = Device.cpu();
  using model = new Llama(device, await readModelConfig(assets), { dtype: "f32", trainable: false });
  initialise(model, SEED);
  await makeFolder(folder);
  await (await Tokenizer.load(assets)).saveTo(folder);
  await saveModel(model, folder);
}
