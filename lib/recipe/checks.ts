import type { Merged } from "./layers.js";
import type { Problem } from "./problems.js";
import type { DpoRecipe, RecipeKind, SftRecipe } from "./schema.js";

const DATA_SETS = ["dataset_name", "dataset_mixer", "dataset_mixture"] as const;

/** What single keys cannot show: entries that contradict or need each other. */
export function findContradictions(recipe: SftRecipe | DpoRecipe, given: ReadonlySet<string>): Problem[] {
  const problems: Problem[] = [];
  const [first, second] = DATA_SETS.filter((key) => recipe[key] !== null);
  if (first === undefined) {
    problems.push({ key: "dataset_name", message: `missing, expected one of ${DATA_SETS.join(", ")}` });
  } else if (second !== undefined) {
    problems.push({ key: second, message: `given beside ${first}, expected one of the two` });
  }

  if (recipe.dataset_revision !== null && recipe.dataset_name === null) {
    const other = recipe.dataset_mixture === null ? "" : "; a part of dataset_mixture has its own revision";
    problems.push({ key: "dataset_revision", message: `given without dataset_name, expected both or neither${other}` });
  }

  if (recipe.dataset_splits !== null) {
    const other = ["dataset_train_split", "dataset_test_split"].find((key) => given.has(key));
    if (other !== undefined)
      problems.push({ key: other, message: "given beside dataset_splits, expected one way of naming splits" });
  }

  const { min_lr, min_lr_rate } = recipe.lr_scheduler_kwargs;
  const isOne = (min_lr === null) !== (min_lr_rate === null);
  if (recipe.lr_scheduler_type === "cosine_with_min_lr" && !isOne) {
    const found = min_lr === null ? "neither min_lr nor min_lr_rate" : "both min_lr and min_lr_rate";
    problems.push({ key: "lr_scheduler_kwargs", message: `${found}, expected one of them for cosine_with_min_lr` });
  }
  if (min_lr !== null && recipe.learning_rate === 0) {
    problems.push({ key: "learning_rate", message: "0, expected more for a min_lr" });
  }

  if ("max_prompt_length" in recipe && recipe.max_prompt_length !== null && recipe.max_length !== null) {
    const { max_prompt_length, max_length } = recipe;
    if (max_prompt_length >= max_length) {
      problems.push({
        key: "max_prompt_length",
        message: `${max_prompt_length}, expected less than max_length (${max_length}), or no token of an answer is left`,
      });
    }
  }
  if ("packing" in recipe && recipe.packing && recipe.packing_strategy !== "bfd" && recipe.max_length === null) {
    const message = `null, expected a number of tokens for packing_strategy ${recipe.packing_strategy} to cut at`;
    problems.push({ key: "max_length", message });
  }
  if (
    "loss_type" in recipe &&
    Array.isArray(recipe.loss_type) &&
    new Set(recipe.loss_type).size < recipe.loss_type.length
  ) {
    problems.push({ key: "loss_type", message: `${recipe.loss_type.join(", ")}, expected no loss twice` });
  }
  return problems;
}

/** The same recipe with what follows from one key written out in others. */
export function withConsequences<Recipe extends SftRecipe | DpoRecipe>(recipe: Recipe): Recipe {
  const isRatio = recipe.warmup_steps > 0 && recipe.warmup_steps < 1;
  return {
    ...recipe,
    do_eval: recipe.do_eval || recipe.eval_strategy !== "no",
    ...(isRatio && { warmup_ratio: recipe.warmup_steps, warmup_steps: 0 }),
  };
}

/** What a reader of the recipe might expect to be otherwise. */
export function noteDifferences(kind: RecipeKind, recipe: SftRecipe | DpoRecipe, { values, origin }: Merged): string[] {
  const notes: string[] = [];
  const precisions = (["dtype", "fp16", "tf32"] as const).filter((key) => {
    return recipe[key] === true || recipe[key] === "float16";
  });
  if (precisions.length > 0) {
    const wishes = precisions.map((key) => `${origin.get(key)?.spelt ?? key}: ${recipe[key]}`).join(", ");
    notes.push(
      `${wishes}: not computed in; a GPU takes bfloat16, the CPU float32, unless dtype or bf16 says otherwise`,
    );
  }
  if ("assistant_only_loss" in recipe) {
    const isOldHandbook = origin.get("max_length")?.spelt.endsWith("max_seq_length") === true;
    if (isOldHandbook && !Object.hasOwn(values, "packing")) {
      notes.push(
        "packing: false; the alignment-handbook's script for recipes with max_seq_length packed in any case: --packing=wrapped",
      );
    }
    if (recipe.packing && recipe.packing_strategy === "bfd") {
      notes.push(
        "packing: a micro-batch is rows of the data set; in TRL it is blocks of max_length tokens, of several rows",
      );
    }
  }
  if (recipe.dataset_mixer !== null && !Object.hasOwn(values, "auto_insert_empty_system_msg")) {
    notes.push("auto_insert_empty_system_msg: false; the alignment-handbook's default was true");
  }
  if (kind === "dpo" && (recipe as DpoRecipe).label_smoothing > 0) {
    notes.push("label_smoothing: conservative DPO; TRL leaves it out of its sigmoid loss");
  }
  return notes;
}
