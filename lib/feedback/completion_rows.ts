import type { Message } from "../text/chat_template.js";
import { type Answers, isFailed } from "./answers.js";
import { assign, type Member } from "./ensemble.js";
import type { DrawOptions } from "./plan.js";
import { type FeedbackPrompt, isLonger } from "./prompts.js";

/** A prompt and what several models answered, in UltraFeedback's shape. */
export interface CompletionRow {
  readonly source: string | null;
  readonly prompt_id: string;
  /** What the user said last. */
  readonly instruction: string;
  /** Those that were drawn; a completion that failed is missing among the completions. */
  readonly models: readonly string[];
  readonly completions: readonly CompletionFields[];
  /** The whole chat up to the answer, where it is longer than the instruction. */
  readonly messages?: readonly Message[];
}

export interface CompletionFields {
  readonly model: string;
  /** What the answer was to aim at, and what the system therefore said. */
  readonly principle: string | null;
  readonly custom_system_prompt: string | null;
  readonly response: string;
}

/** A row for every prompt, in their order, with the answers that there are. */
export function* completionRows<M extends Member>(
  prompts: readonly FeedbackPrompt[],
  members: readonly M[],
  answers: Answers,
  draw: DrawOptions,
): Generator<CompletionRow> {
  for (const prompt of prompts) {
    const drawn = assign(prompt, members, draw);
    const completions = drawn.flatMap((one): CompletionFields[] => {
      const record = answers.of(one);
      if (record === undefined || isFailed(record)) return [];
      const { name = null, text = null } = one.principle ?? {};
      return [{ model: one.member.name, principle: name, custom_system_prompt: text, response: record.text }];
    });
    yield {
      source: prompt.source,
      prompt_id: prompt.promptId,
      instruction: prompt.messages.at(-1)!.content,
      models: drawn.map(({ member }) => member.name),
      completions,
      ...(isLonger(prompt) && { messages: prompt.messages }),
    };
  }
}
