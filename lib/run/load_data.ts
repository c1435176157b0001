import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";

import { ConfigError } from "../base/errors.js";
import { reportsOf } from "../base/reports.js";
import type { EncodeCounts, EncodeOptions, TokenPair, TokenSequence } from "../data/encode.js";
import type { Encoding } from "../data/encoder.js";
import { type ChosenRows, chooseRows, loadChosen } from "../data/mix.js";
import { eachRow, type Rows } from "../data/rows.js";
import type { SourceRow } from "../data/source.js";
import { openTokens, type TokenStore } from "../data/token_store.js";
import { readModelConfig } from "../model/config.js";
import type { TrainingRecipe } from "../recipe/schema.js";
import { type ChatTemplate, resolveChatTemplate } from "../text/chat_template.js";
import { Tokenizer } from "../text/tokenizer.js";
import { checkTokens, type Reader } from "./check_tokens.js";
import type { RunEvent } from "./events.js";
import type { Places } from "./locate.js";

/** The rows a recipe names, and what they are encoded with. */
export interface Data extends ChosenRows {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly reader: Reader;
}

export async function loadData(recipe: TrainingRecipe, places: Places): Promise<Data> {
  const config = await readModelConfig(places.model.path);
  const folder = places.tokenizer;
  const tokenizer = await Tokenizer.load(folder);
  const template = resolveChatTemplate(recipe.chat_template, tokenizer);
  const { dataset_splits: splits } = recipe;
  const dataset = await chooseRows({
    ...recipe,
    ...places.dataset,
    dataset_train_split: splits ? null : recipe.dataset_train_split,
    dataset_test_split: splits ? null : recipe.dataset_test_split,
    sequential: recipe.data_order === "sequential",
  });
  if (recipe.do_eval && dataset.test.length === 0) throw nothingToEvaluateOn(recipe);
  return {
    tokenizer,
    template,
    reader: { config, tokenizer, folder },
    ...dataset,
    test: recipe.do_eval ? dataset.test : [],
  };
}

function nothingToEvaluateOn(recipe: TrainingRecipe): ConfigError {
  const [key, asked] = recipe.eval_strategy === "no" ? ["do_eval", "true"] : ["eval_strategy", recipe.eval_strategy];
  const name = recipe.dataset_name ?? Object.keys(recipe.dataset_mixer ?? { dataset_mixture: 1 }).join(", ");
  const cure = 'use a folder with a file for it, dataset_mixture.test_split_size, or eval_strategy: "no"';
  return new ConfigError(key, `${asked}, but ${name} has no rows to evaluate on, expected a test split; ${cure}`);
}

/** The rows as tokens, after how far they are. `encoding` is what the method adds to what every recipe says. */
export async function* encodeData<Row extends TokenSequence | TokenPair>(
  recipe: TrainingRecipe,
  data: Data,
  encoding: MethodEncoding,
  signal?: AbortSignal,
): AsyncGenerator<RunEvent, TokenStore<Row>> {
  const { template, reader } = data;
  const options = { ...encodeOptions(recipe), ...encoding.options };
  const whole = { ...encoding, options, tokenizerFolder: reader.folder, chatTemplate: template.source };
  const numThreads = recipe.threads ?? availableParallelism();
  return yield* reportsOf<RunEvent, TokenStore<Row>>((report, abandoned) =>
    openTokens<Row>(data, {
      encoding: whole,
      numThreads,
      signal: signal === undefined ? abandoned : AbortSignal.any([signal, abandoned]),
      onProgress: (progress) => report({ kind: "encoding", ...progress }),
    }),
  );
}

type MethodEncoding = OmitFolder<Encoding>;
type OmitFolder<E> = E extends Encoding ? Omit<E, "tokenizerFolder" | "chatTemplate"> : never;

/** The first rows that the report may draw prompts from: those to evaluate on if there are any. */
export const firstRows = ({ train, test }: Data, most: number): Promise<SourceRow[]> =>
  loadChosen((test.length > 0 ? test : train).slice(0, most));

function encodeOptions(recipe: TrainingRecipe): Omit<EncodeOptions, "tokenizer" | "template"> {
  return {
    maxLength: recipe.max_length,
    truncation: recipe.truncation_mode,
    insertEmptySystemMessage: recipe.auto_insert_empty_system_msg,
  };
}

/** How rows fared, for the log and the report; zeros are left out, but for the rows kept. */
export function countFacts(label: string, rows: number, counts: EncodeCounts): (readonly [string, number])[] {
  const all = [
    [`${label} rows`, rows],
    [`${label} rows dropped, with nothing left to learn`, counts.dropped],
    [`${label} rows truncated`, counts.truncated],
    [`${label} rows with a token across the prompt's end, cut as TRL cuts them`, counts.straddled],
  ] as const;
  return all.filter(([, count], i) => i === 0 || count > 0);
}

/** How rows fared that are learned, or measured, as they are read; nothing where there are none. */
export function factsOf(
  label: string,
  rows: Rows<TokenSequence | TokenPair>,
  counts: EncodeCounts,
  reader: Reader,
): Facts {
  if (rows.length === 0) return [];
  return [...countFacts(label, rows.length, counts), ...checkTokens(label, rows, reader)];
}

type Facts = readonly (readonly [string, number])[];

/** A name for the data as the model sees it: every token of every row, in order. */
export function hashTokens(rows: Rows<TokenSequence | TokenPair>): string {
  const hash = createHash("sha256");
  for (const row of eachRow(rows)) {
    const parts = "ids" in row ? [row.ids, row.trainable] : [row.prompt, row.chosen, row.rejected];
    hash.update(Int32Array.from(parts, (part) => part.length));
    for (const part of parts) hash.update(part);
  }
  return hash.digest("hex").slice(0, 16);
}
