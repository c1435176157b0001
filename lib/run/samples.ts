import { AbortedError } from "../base/errors.js";
import { type Generated, generate } from "../generate/generate.js";
import type { Llama } from "../model/llama.js";
import type { TrainingRecipe } from "../recipe/schema.js";
import type { Prepared } from "./prepared.js";

/** Greedy answers to the run's sample prompts by the model as it is; none without a report, and none if stopped. */
export async function answerSamples(
  model: Llama,
  { tokenizer, samplePrompts }: Pick<Prepared<unknown>, "tokenizer" | "samplePrompts">,
  recipe: TrainingRecipe,
  signal: AbortSignal | undefined,
): Promise<{ prompt: string; answer: string }[]> {
  const { maxPositionEmbeddings: room, vocabSize } = model.config;
  const prompts = samplePrompts
    .filter(({ ids }) => ids.length > 0 && ids.length < room && ids.every((id) => id < vocabSize))
    .slice(0, recipe.report_samples);
  if (!recipe.report || prompts.length === 0) return [];
  const stopTokens = stopTokensOf(model, tokenizer.eosId);
  const answers = await generate(
    model,
    prompts.map(({ ids }) => ids),
    { maxNewTokens: recipe.report_sample_tokens, stopTokens, signal },
  ).catch((error): Generated[] => {
    if (error instanceof AbortedError) return [];
    throw error;
  });
  return answers.map(({ ids }, i) => {
    return { prompt: prompts[i]!.text, answer: tokenizer.decode(ids, { skipSpecialTokens: true }).trim() };
  });
}

/** The tokens that end an answer: the tokenizer's and the config's, which may be several. */
export function stopTokensOf({ config }: Llama, eosId: number | undefined): number[] {
  const listed = config.eosTokenId;
  const ids = [eosId, ...(typeof listed === "number" ? [listed] : (listed ?? []))];
  return [...new Set(ids.filter((id) => id !== undefined))];
}
