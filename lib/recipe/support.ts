import { dpoLaterKeys, laterKeys } from "./keys_later.js";
import { ADAMW_KINDS, SCHEDULERS } from "./keys_training.js";
import { type Problem, showValue, throwProblems } from "./problems.js";
import type { DpoRecipe, SftRecipe } from "./schema.js";

const CURES: Readonly<Record<string, string>> = {
  use_peft: "train all weights with --use_peft=false, and choose a learning rate for that",
  load_in_4bit: "use --load_in_4bit=false",
  load_in_8bit: "use --load_in_8bit=false",
  chat_template_path: "write the template's text or name in chat_template",
  truncation_side: "use truncation_mode",
  train_sampling_strategy: "use data_order",
  datasets: "use dataset_mixture",
  test_split_size: "use dataset_mixture.test_split_size",
  max_completion_length: "use max_length",
};

/**
 * Throws ConfigError for what a recipe asks and this version cannot do: the key, what was found, what is supported.
 * To be called before a run; reading a recipe does not need it.
 */
export function checkSupported(recipe: SftRecipe | DpoRecipe): void {
  throwProblems(findUnsupported(recipe));
}

function findUnsupported(recipe: SftRecipe | DpoRecipe): Problem[] {
  const problems: Problem[] = [];
  const refuse = (key: string, found: unknown, supported: string, cure?: string) => {
    problems.push({
      key,
      message: `${showValue(found)}, this version supports ${supported}${cure ? `; ${cure}` : ""}`,
    });
  };

  if (!(ADAMW_KINDS as readonly string[]).includes(recipe.optim)) {
    refuse("optim", recipe.optim, "AdamW", "use --optim=adamw_torch");
  }
  if (!(SCHEDULERS as readonly string[]).includes(recipe.lr_scheduler_type)) {
    refuse("lr_scheduler_type", recipe.lr_scheduler_type, SCHEDULERS.join(", "));
  }
  if (typeof recipe.loss_type === "string") {
    if (recipe.loss_type !== "nll") refuse("loss_type", recipe.loss_type, "nll");
  } else if (recipe.loss_type.length !== 1 || recipe.loss_type[0] !== "sigmoid") {
    const [only] = recipe.loss_type;
    refuse("loss_type", recipe.loss_type.length === 1 ? only : recipe.loss_type, "sigmoid", "use --loss_type=sigmoid");
  }
  if (!/^(auto|cpu|cuda(:\d+)?)$/.test(recipe.device)) refuse("device", recipe.device, "auto, cpu, cuda and cuda:N");
  if (recipe.save_strategy === "best") refuse("save_strategy", recipe.save_strategy, "no, epoch, steps");

  const other = configsOf(recipe).find(({ config }) => config !== null && config !== "default");
  if (other !== undefined) {
    refuse(other.key, other.config, "the default configuration", "name the configuration's own folder as the data set");
  }
  const later = "beta" in recipe ? { ...laterKeys, ...dpoLaterKeys } : laterKeys;
  for (const [key, schema] of Object.entries(later)) {
    const off: unknown = schema.parse(undefined);
    const found: unknown = recipe[key as keyof typeof recipe];
    if (found !== off) refuse(key, found, showValue(off), CURES[key]);
  }
  return problems;
}

function configsOf(recipe: SftRecipe | DpoRecipe): { key: string; config: string | null }[] {
  const ofMixture = recipe.dataset_mixture?.datasets ?? [];
  return [
    { key: "dataset_config", config: recipe.dataset_config },
    ...(recipe.dataset_configs ?? []).map((config, i) => ({ key: `dataset_configs.${i}`, config })),
    ...ofMixture.map(({ config }, i) => ({ key: `dataset_mixture.datasets.${i}.config`, config })),
  ];
}
