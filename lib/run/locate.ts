import { reportsOf } from "../base/reports.js";
import { type HubOptions, type Located, locateDataset, locateModel, locateTokenizer } from "../hub/resolve.js";
import { readModelConfig } from "../model/config.js";
import type { TrainingRecipe } from "../recipe/schema.js";
import type { RunEvent } from "./events.js";

/** Where on this machine the model and the data are that a recipe names. */
export interface Places {
  readonly model: Located;
  /** The folder of the tokenizer. */
  readonly tokenizer: string;
  /** The recipe's data sets by their paths. */
  readonly dataset: Pick<TrainingRecipe, "dataset_name" | "dataset_mixer" | "dataset_mixture">;
  /** What came from the hub, and which commit it is. */
  readonly facts: readonly (readonly [string, string])[];
}

/**
 * Finds what a recipe names, and downloads what is missing of it: the weights, which take longest, last. Throws
 * HubError, FileError, ModelError, AbortedError.
 */
export async function* locateAll(recipe: TrainingRecipe, signal?: AbortSignal): AsyncGenerator<RunEvent, Places> {
  const { model_name_or_path, tokenizer_name_or_path, dataset_name, dataset_mixer, dataset_mixture } = recipe;
  const facts: [string, string][] = [];
  async function* found(label: string, locate: (options: HubOptions) => Promise<Located>) {
    const located = yield* reportsOf<RunEvent, Located>((report, abandoned) =>
      locate({ onEvent: report, signal: signal === undefined ? abandoned : AbortSignal.any([signal, abandoned]) }),
    );
    if (located.snapshot !== undefined) facts.push([label, `${located.snapshot.name} at ${located.snapshot.commit}`]);
    return located;
  }
  const dataset = (name: string, splits: readonly string[], revision: string | null) =>
    found("data set", (options) => locateDataset(name, { ...options, splits, revision }));

  const splits = recipe.dataset_splits ?? [recipe.dataset_train_split, recipe.dataset_test_split];
  const named = dataset_name === null ? null : (yield* dataset(dataset_name, splits, recipe.dataset_revision)).path;
  const mixer: [string, number][] = [];
  for (const [name, share] of Object.entries(dataset_mixer ?? {})) {
    mixer.push([(yield* dataset(name, recipe.dataset_splits ?? ["train", "test"], null)).path, share]);
  }
  const parts = [];
  for (const part of dataset_mixture?.datasets ?? []) {
    parts.push({ ...part, id: (yield* dataset(part.id, [part.split], part.revision)).path });
  }

  const tokenizer =
    tokenizer_name_or_path === null
      ? undefined
      : yield* found("tokenizer", (options) => locateTokenizer(tokenizer_name_or_path, options));
  const model = yield* found("model", (options) =>
    locateModel(model_name_or_path, { ...options, revision: recipe.model_revision, inspect: readModelConfig }),
  );
  return {
    model,
    tokenizer: (tokenizer ?? model).path,
    dataset: {
      dataset_name: named,
      dataset_mixer: dataset_mixer && Object.fromEntries(mixer),
      dataset_mixture: dataset_mixture && { ...dataset_mixture, datasets: parts },
    },
    facts,
  };
}
