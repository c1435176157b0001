import { type AnsweredPrompt, answerPrompt } from "./answer_prompt.js";
import type { CompletionOptions } from "./generated.js";
import { type LoadEngineOptions, loadEngine } from "./load_engine.js";
import type { PromptOptions } from "./prompt_rows.js";

export interface GenerateTextOptions
  extends PromptOptions,
    Omit<CompletionOptions, "choices">,
    Pick<LoadEngineOptions, "device" | "dtype" | "threads" | "chatTemplate" | "hub"> {}

/** Loads a model's folder, or a model by its name on the hub, and answers one prompt. */
export async function generateText(
  nameOrPath: string,
  prompt: string,
  { device, dtype, threads, chatTemplate, hub, ...options }: GenerateTextOptions = {},
): Promise<AnsweredPrompt> {
  await using model = await loadEngine(nameOrPath, { device, dtype, threads, chatTemplate, hub });
  const [answer] = await answerPrompt(model, prompt, options);
  return answer!;
}
