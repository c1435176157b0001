import { type AnsweredPrompt, answerPrompt } from "./answer_prompt.js";
import type { CompletionOptions } from "./generated.js";
import { type LoadEngineOptions, loadEngine } from "./load_engine.js";
import type { PromptOptions } from "./prompt_rows.js";

export interface GenerateTextOptions
  extends PromptOptions,
    Omit<CompletionOptions, "choices">,
    Pick<LoadEngineOptions, "device" | "dtype" | "threads" | "chatTemplate"> {}

/** Loads a model's folder and answers one prompt. */
export async function generateText(
  folder: string,
  prompt: string,
  { device, dtype, threads, chatTemplate, ...options }: GenerateTextOptions = {},
): Promise<AnsweredPrompt> {
  await using model = await loadEngine(folder, { device, dtype, threads, chatTemplate });
  const [answer] = await answerPrompt(model, prompt, options);
  return answer!;
}
