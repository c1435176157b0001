import { complete } from "../generate/complete.js";
import type { TextModel } from "../generate/text_model.js";
import type { Message } from "../text/chat_template.js";
import { type CompletionOptions, type ShownScore, showScores } from "./generated.js";
import { encodePrompt, type PromptOptions } from "./prompt_rows.js";

export interface AnsweredPrompt {
  readonly text: string;
  readonly finish: "stop" | "length";
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  /** With `logprobs`: of each token of the answer. */
  readonly logprobs?: readonly ShownScore[];
}

/** Answers a prompt, or a chat up to the answer: one answer for each choice. Throws TemplateError and what the engine throws. */
export async function answerPrompt(
  model: TextModel,
  prompt: string | readonly Message[],
  { system, raw, ...request }: PromptOptions & CompletionOptions = {},
): Promise<AnsweredPrompt[]> {
  const ids = encodePrompt(prompt, model, { system, raw });
  const answers = await complete(model.engine, { ...request, prompt: ids });
  return answers.map((answer) => ({
    text: answer.text,
    finish: answer.finish,
    prompt_tokens: ids.length,
    completion_tokens: answer.numTokens,
    ...(request.logprobs !== undefined && { logprobs: showScores(answer) }),
  }));
}
