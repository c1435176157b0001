import { stringify } from "yaml";

import { assert, ConfigError } from "../base/errors.js";
import { splitSequences, wrapSequences } from "../data/cut.js";
import type { TokenPair, TokenSequence } from "../data/encode.js";
import { type SftRow, toPreferencePair, toSftRow } from "../data/row.js";
import { joinRows, type Rows, rangeOf } from "../data/rows.js";
import type { StoredRows } from "../data/token_store.js";
import type { Llama } from "../model/llama.js";
import type { ParsedRecipe } from "../recipe/parse.js";
import type { DpoRecipe, SftRecipe } from "../recipe/schema.js";
import { checkSupported } from "../recipe/support.js";
import type { Message } from "../text/chat_template.js";
import { DpoTask, type ReferencedPair } from "../train/dpo.js";
import { referencePairs } from "../train/reference.js";
import { SftTask } from "../train/sft.js";
import type { TaskOptions } from "../train/task.js";
import { checkTokens } from "./check_tokens.js";
import type { RunEvent, RunSummary } from "./events.js";
import { countFacts, type Data, encodeData, factsOf, firstRows, hashTokens, loadData } from "./load_data.js";
import { locateAll } from "./locate.js";
import type { Prepared } from "./prepared.js";
import { carryOut, type RunOptions } from "./run.js";

/** Supervised fine-tuning as a recipe says. Yields what happens; the last event has the summary, which is returned too. */
export async function* runSft(
  { recipe }: Pick<ParsedRecipe<SftRecipe>, "recipe">,
  options: RunOptions = {},
): AsyncGenerator<RunEvent, RunSummary> {
  checkSupported(recipe);
  const prepared = yield* prepareSft(recipe, options.signal);
  return yield* carryOut(recipe, stringify(recipe), prepared, options);
}

/** Direct preference optimisation as a recipe says, against the model that it starts from. */
export async function* runDpo(
  { recipe }: Pick<ParsedRecipe<DpoRecipe>, "recipe">,
  options: RunOptions = {},
): AsyncGenerator<RunEvent, RunSummary> {
  checkSupported(recipe);
  const prepared = yield* prepareDpo(recipe, options.signal);
  return yield* carryOut(recipe, stringify(recipe), prepared, options);
}

async function* prepareSft(recipe: SftRecipe, signal?: AbortSignal): AsyncGenerator<RunEvent, Prepared<TokenSequence>> {
  const places = yield* locateAll(recipe, signal);
  const data = await loadData(recipe, places);
  const isCut = recipe.packing && recipe.packing_strategy !== "bfd";
  const textField = recipe.dataset_text_field;
  const options = {
    ...(isCut && { maxLength: null }),
    assistantOnlyLoss: recipe.assistant_only_loss,
    completionOnlyLoss: recipe.completion_only_loss,
  };
  const { train, test } = yield* encodeData<TokenSequence>(recipe, data, { kind: "sft", textField, options }, signal);
  const { rows, longest, facts } = arrange(recipe, train);
  const measured = isCut && recipe.max_length !== null ? splitSequences(test, recipe.max_length) : undefined;
  const evalRows = measured?.sequences ?? test;
  const firstPrompts = (await firstRows(data, MOST_SAMPLES)).map((row) => promptOfSft(toSftRow(row, { textField })));
  return {
    kind: "sft",
    base: places.model,
    tokenizer: data.tokenizer,
    template: data.template.source,
    facts: [
      ...places.facts,
      ...countFacts("training", train.length, train.counts),
      ...facts,
      ...checkTokens("training", rows, data.reader),
      ...factsOf("evaluation", evalRows, test.counts, data.reader),
    ],
    numRows: rows.length,
    dataHash: hashTokens(rows),
    samplePrompts: promptsOf(data, firstPrompts),
    longest: Math.max(longest, measured?.longest ?? test.longest),
    task: (model, options) => new SftTask(model, options),
    widestRow: (tokens, labels) => {
      const trainable = new Uint8Array(tokens).fill(1, Math.max(1, tokens - labels));
      return { ids: new Int32Array(tokens), trainable, place: NOWHERE };
    },
    async *start() {
      yield { kind: "started", rows, evalRows };
    },
  };
}

const NOWHERE = { source: "planning", index: 0 };

/** Rows as packing_strategy makes them. Best-fit packing needs no rows of its own: batches are packed as they are run. */
function arrange(recipe: SftRecipe, stored: StoredRows<TokenSequence>) {
  const { packing, packing_strategy: strategy, max_length: length } = recipe;
  if (!packing || strategy === "bfd" || length === null) {
    return { rows: stored, longest: stored.longest, facts: [] };
  }
  const cut = strategy === "wrapped" ? wrapSequences(stored, length) : splitSequences(stored, length);
  const { sequences: rows, longest, dropped, numTokens, droppedTokens } = cut;
  if (rows.length === 0) {
    const found = `packing_strategy ${strategy} cuts no row with something to learn from ${numTokens} tokens`;
    throw new ConfigError("max_length", `${length}, but ${found}, expected another max_length or more data`);
  }
  const facts = [
    [`rows of at most ${length} tokens cut from them`, rows.length],
    ["rows cut from them and dropped, with nothing to learn", dropped],
    ["tokens left over, too few for a row", droppedTokens],
  ] as const;
  return { rows, longest, facts: facts.filter(([, count]) => count > 0) };
}

async function* prepareDpo(
  recipe: DpoRecipe,
  signal?: AbortSignal,
): AsyncGenerator<RunEvent, Prepared<ReferencedPair>> {
  const places = yield* locateAll(recipe, signal);
  const data = await loadData(recipe, places);
  const options = { maxPromptLength: recipe.max_prompt_length };
  const { train, test } = yield* encodeData<TokenPair>(recipe, data, { kind: "dpo", options }, signal);
  const firstPrompts = (await firstRows(data, MOST_SAMPLES)).map((row) => toPreferencePair(row).prompt);
  const makeTask = (model: Llama, options: TaskOptions) =>
    new DpoTask(model, { ...options, beta: recipe.beta, labelSmoothing: recipe.label_smoothing });
  return {
    kind: "dpo",
    base: places.model,
    tokenizer: data.tokenizer,
    template: data.template.source,
    facts: [
      ...places.facts,
      ...factsOf("training", train, train.counts, data.reader),
      ...factsOf("evaluation", test, test.counts, data.reader),
    ],
    numRows: train.length,
    dataHash: hashTokens(train),
    samplePrompts: promptsOf(data, firstPrompts),
    longest: Math.max(train.longest, test.longest),
    task: makeTask,
    widestRow: (tokens, labels) => {
      const prompt = new Int32Array(Math.max(1, tokens - labels));
      const chosen = new Int32Array(Math.ceil((tokens - prompt.length) / 2));
      const rejected = new Int32Array(tokens - prompt.length - chosen.length);
      return { prompt, chosen, rejected, refChosen: 0, refRejected: 0, place: NOWHERE };
    },
    async *start(model, { options, outputDir, signal }) {
      using reference = makeTask(model, options);
      const all = joinRows<TokenPair>(train, test);
      let referenced: Rows<ReferencedPair> | undefined;
      const work = referencePairs(reference, all, {
        modelFolder: places.model.path,
        dtype: model.parameters.dtype,
        cacheFolder: outputDir,
        ...(signal && { signal }),
      });
      for await (const event of work) {
        if ("done" in event) yield { kind: "reference", ...event, total: all.length };
        else referenced = event.pairs;
      }
      const count = train.length;
      assert(referenced, "the reference ends with the pairs");
      yield { kind: "started", rows: rangeOf(referenced, 0, count), evalRows: rangeOf(referenced, count) };
    },
  };
}

/** More than a report shows, since those that are too long for the model are passed over. */
const MOST_SAMPLES = 16;

/** Prompts of those rows that have one, as text and as the tokens a model answers. */
function promptsOf(data: Data, prompts: readonly (readonly Message[] | string | undefined)[]) {
  const { tokenizer, template } = data;
  return prompts
    .filter((prompt) => prompt !== undefined)
    .map((prompt) => {
      if (typeof prompt === "string")
        return { text: prompt, ids: tokenizer.encode(prompt, { addSpecialTokens: true }) };
      const last = prompt.findLast(({ role }) => role === "user")?.content ?? "";
      return { text: last, ids: tokenizer.encode(template.render(prompt, { addGenerationPrompt: true })) };
    });
}

function promptOfSft(row: SftRow): readonly Message[] | string | undefined {
  if ("text" in row) return undefined;
  if ("prompt" in row) return row.prompt;
  const last = row.messages.findLastIndex(({ role }) => role === "assistant");
  return last > 0 ? row.messages.slice(0, last) : undefined;
}
