import { z } from "zod";
import { dataKeys, dpoDataKeys, sftDataKeys } from "./keys_data.js";
import { dpoLaterKeys, laterKeys, loraKeys } from "./keys_later.js";
import { dpoMethodKeys, sftMethodKeys } from "./keys_method.js";
import { modelKeys } from "./keys_model.js";
import { outputKeys } from "./keys_output.js";
import { learningRate, trainingKeys } from "./keys_training.js";

export type RecipeKind = "sft" | "dpo";

const sharedKeys = { ...modelKeys, ...dataKeys, ...trainingKeys, ...outputKeys, ...laterKeys, ...loraKeys };

const sftSchema = z.strictObject({
  ...sharedKeys,
  ...sftDataKeys,
  ...sftMethodKeys,
  learning_rate: learningRate(2e-5),
});

const dpoSchema = z.strictObject({
  ...sharedKeys,
  ...dpoDataKeys,
  ...dpoMethodKeys,
  ...dpoLaterKeys,
  learning_rate: learningRate(1e-6),
});

export type DeepReadonly<T> = T extends object ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> } : T;

/** A recipe of `westwind sft`: every key has a value, null where there is none. Keys and values are TRL's. */
export type SftRecipe = DeepReadonly<z.output<typeof sftSchema>>;

/** A recipe of `westwind dpo`. */
export type DpoRecipe = DeepReadonly<z.output<typeof dpoSchema>>;

/** What both have: all but the method's own keys. */
export type TrainingRecipe = Pick<SftRecipe, keyof SftRecipe & keyof DpoRecipe & keyof typeof sharedKeys> & {
  readonly learning_rate: number;
  readonly max_length: number | null;
  readonly truncation_mode: "keep_start" | "keep_end";
};

export const SCHEMAS = { sft: sftSchema, dpo: dpoSchema } as const;

/** Other spellings of keys, older or newer. */
export const ALIASES: Readonly<Record<string, string>> = {
  max_seq_length: "max_length",
  evaluation_strategy: "eval_strategy",
  torch_dtype: "dtype",
};

export interface Section {
  readonly title: string;
  readonly kinds: readonly RecipeKind[];
  readonly keys: Readonly<Record<string, z.ZodType>>;
}

const BOTH: readonly RecipeKind[] = ["sft", "dpo"];

/** The keys in reading order, for docs/recipes.md. */
export const SECTIONS: readonly Section[] = [
  { title: "Model", kinds: BOTH, keys: modelKeys },
  { title: "Data", kinds: BOTH, keys: { ...dataKeys, ...sftDataKeys, ...dpoDataKeys } },
  { title: "SFT", kinds: ["sft"], keys: sftMethodKeys },
  { title: "DPO", kinds: ["dpo"], keys: dpoMethodKeys },
  { title: "Training", kinds: BOTH, keys: { learning_rate: learningRate(0), ...trainingKeys } },
  { title: "Output", kinds: BOTH, keys: outputKeys },
  { title: "Not in this version", kinds: BOTH, keys: { ...laterKeys, ...dpoLaterKeys, ...loraKeys } },
];
