import { AnswerError, ConfigError } from "../base/errors.js";
import { complete } from "../generate/complete.js";
import type { TextModel } from "../generate/text_model.js";
import { type Message, TemplateError } from "../text/chat_template.js";
import type { Tally } from "./budget.js";
import type { ChatModel, ChatOptions } from "./chat_model.js";

/**
 * A model of this machine. What the system says goes before the user's first words where the template has no place for it;
 * a schema is not held to. Its answers and log-probabilities throw AnswerError for a chat that the template refuses or
 * that is too long, and AbortedError with the signal. `tally` is told what answers took.
 */
export function localModel(name: string, model: TextModel, tally?: Pick<Tally, "count">): Required<ChatModel> {
  const { engine, tokenizer, template } = model;
  const hasSystem = showsSystem(template);

  function render(messages: readonly Message[]): string {
    return template.render(hasSystem ? messages : withoutSystem(messages), { addGenerationPrompt: true });
  }

  return {
    name,

    answer: (messages, options: ChatOptions = {}) =>
      orRefused(name, async () => {
        const { temperature, topP, maxTokens, seed, stop, signal } = options;
        const prompt = tokenizer.encode(render(messages));
        const request = { prompt, temperature, topP, maxNewTokens: maxTokens, seed, stop, signal };
        const [answer] = await complete(engine, request);
        const { text, finish, numTokens } = answer!;
        const usage = { promptTokens: prompt.length, completionTokens: numTokens };
        tally?.count(usage);
        return { text, finish, ...usage };
      }),

    logProbs: (messages, continuations, signal) =>
      orRefused(name, async () => {
        const prompt = render(messages);
        const before = tokenizer.encode(prompt);
        const all = continuations.map((text) => tokenizer.encode(prompt + text));
        // A token may reach across the end of the prompt: what is scored begins for all where the first one differs.
        const from = Math.max(1, Math.min(...all.map((ids) => sameUpTo(ids, before)))); // nothing predicts the first token
        return await Promise.all(all.map((ids) => sumLogProbs(model, ids, from, signal)));
      }),
  };
}

/** Chats that a template does not take, or that are too long, are refused as an endpoint refuses them. */
async function orRefused<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isOfChat = error instanceof TemplateError || (error instanceof ConfigError && error.key === "prompt");
    throw isOfChat ? new AnswerError(name, "refused", error.message, { cause: error }) : error;
  }
}

/** Whether what the system says is in the text of a chat. Templates may refuse its role, or leave its words out. */
function showsSystem(template: TextModel["template"]): boolean {
  const chat = [
    { role: "system", content: "Speak." },
    { role: "user", content: "Hello." },
  ];
  try {
    return template.render(chat).includes("Speak.");
  } catch (error) {
    if (error instanceof TemplateError) return false;
    throw error;
  }
}

function withoutSystem(messages: readonly Message[]): readonly Message[] {
  const [first, second, ...others] = messages;
  if (first?.role !== "system") return messages;
  if (second?.role !== "user") return [{ role: "user", content: first.content }, ...messages.slice(1)];
  return [{ role: "user", content: `${first.content}\n\n${second.content}` }, ...others];
}

function sameUpTo(a: Int32Array, b: Int32Array): number {
  let same = 0;
  while (same < a.length && same < b.length && a[same] === b[same]) same++;
  return same;
}

/** ln p of tokens `from` and later, given those before. */
async function sumLogProbs(
  { engine }: TextModel,
  prompt: Int32Array,
  from: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  for await (const event of engine.generate({ prompt, maxNewTokens: 0, promptLogprobs: true, signal })) {
    if (event.kind !== "prompt") continue;
    const scores = event.scores!.slice(from - 1);
    return scores.reduce((sum, { logprob }) => sum + logprob, 0);
  }
  return 0;
}
