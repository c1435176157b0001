import type { Message } from "../text/chat_template.js";
import type { Usage } from "./budget.js";
import type { ChatAnswer, ChatModel, ChatOptions } from "./chat_model.js";
import { addUsage, type Judge, NO_USAGE, type Question, type Verdict } from "./judge.js";
import { complaint, judgePrompt, type ReplyForm } from "./judge_prompt.js";
import { readJudgeReply } from "./judge_reply.js";
import { isRefusal, type Rated, type Refusal } from "./rating.js";
import { ratingSchema } from "./rating_json.js";

export interface ChatJudgeOptions extends Pick<ChatOptions, "topP" | "seed"> {
  /** Default 0; null: as the model does by itself. */
  readonly temperature?: number | null | undefined;
  /** Most tokens of a reply. Default 2048. */
  readonly maxTokens?: number | undefined;
  /** Most times a question is asked until its reply can be read. Default 3. */
  readonly attempts?: number | undefined;
  /** Ask for JSON, by a schema where the model can be held to one, rather than for lines of text. Default true. */
  readonly json?: boolean | undefined;
  /** Is told of tokens that were spent on a question to which the model then gave no reply. */
  readonly onWasted?: ((usage: Usage) => void) | undefined;
}

/** A judge that is asked in a chat and says why. A reply that cannot be read is asked for again, with what is wrong. */
export function chatJudge(model: ChatModel, options: ChatJudgeOptions = {}): Judge {
  const { attempts = 3, json = true, maxTokens = 2048, temperature = 0, topP, seed, onWasted } = options;
  const form: ReplyForm = json ? "json" : "text";
  const sampling = { temperature: temperature ?? undefined, topP, seed, maxTokens };

  async function rate(question: Question, signal?: AbortSignal): Promise<Verdict> {
    const prompt = judgePrompt(question, form);
    const schema = json ? { name: "ratings", schema: ratingSchema(question.criterion.scale) } : undefined;
    let messages = prompt;
    let usage = NO_USAGE;
    for (let attempt = 1; ; attempt++) {
      const asked = model.answer(messages, { ...sampling, schema, signal });
      const answer = await asked.catch((error) => {
        if (usage !== NO_USAGE) onWasted?.(usage);
        throw error;
      });
      usage = addUsage(usage, answer);
      const read = readAnswer(answer, question);
      if (!isRefusal(read)) return { ratings: read, usage };
      if (attempt >= attempts) return { reason: read.refused, raw: answer.text, usage };
      messages = [...prompt, ...repeated(answer), { role: "user", content: complaint(read.refused, form, question) }];
    }
  }

  return { name: model.name, rate };
}

/** What the judge said, for it to see; some endpoints take no empty message. */
const repeated = ({ text }: ChatAnswer): readonly Message[] =>
  text.trim() === "" ? [] : [{ role: "assistant", content: text }];

function readAnswer(answer: ChatAnswer, { criterion, messages, responses }: Question): readonly Rated[] | Refusal {
  const { text, finish, completionTokens } = answer;
  if (finish === "length") return { refused: `it was cut off after ${completionTokens} tokens` };
  if (finish === "filter") return { refused: "it was held back" };
  const shown = [...messages.map(({ content }) => content), ...responses];
  return readJudgeReply(text, responses.length, criterion.scale, shown);
}
