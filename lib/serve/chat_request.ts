import { z } from "zod";
import type { Message } from "../text/chat_template.js";
import { badRequest } from "./api_error.js";
import { checkBody, withoutNulls } from "./check.js";
import {
  checkChoices,
  checkModel,
  commonFields,
  fewOf,
  MAX_TOP_LOGPROBS,
  toDelivery,
  toSampling,
  unsupportedFields,
} from "./fields.js";
import type { ServedModel, Settings } from "./options.js";
import { checkLength, encodePrompt } from "./prompt_length.js";
import type { Work } from "./work.js";

const MAX_MESSAGES = 4096;

const part = z.strictObject({ type: z.literal("text"), text: z.string() });
const content = z.preprocess(
  (value) => (typeof value === "string" ? [{ type: "text", text: value }] : value),
  fewOf(part, MAX_MESSAGES).transform((parts) => parts.map(({ text }) => text).join("")),
);
const message = z.preprocess(withoutNulls, z.strictObject({ role: z.string().min(1), content }));

const schema = z.strictObject({
  ...commonFields,
  messages: fewOf(message, MAX_MESSAGES),
  max_tokens: z.int().min(1).optional(),
  max_completion_tokens: z.int().min(1).optional(),
  logprobs: z.boolean().optional(),
  top_logprobs: z.int().min(0).max(MAX_TOP_LOGPROBS).optional(),
  response_format: z.strictObject({ type: z.literal("text") }).optional(),
});

/** What the body of POST /v1/chat/completions asks for. Throws ApiError, and TemplateError for what a template refuses. */
export function readChatRequest(body: unknown, { tokenizer, template }: ServedModel, settings: Settings): Work {
  const fields = checkBody(schema, body, unsupportedFields);
  checkModel(fields.model, settings.name);
  const { n: choices = 1, messages, top_logprobs: top } = fields;
  checkChoices(choices, settings.maxChoices);
  if (top !== undefined && fields.logprobs !== true)
    throw badRequest("'top_logprobs' needs 'logprobs' to be true.", "top_logprobs", "invalid_value");
  if (messages.length === 0) throw badRequest("'messages' is empty, expected a message.", "messages", "invalid_value");

  const text = template.render(messages as Message[], { addGenerationPrompt: true });
  const prompt = encodePrompt(text, { tokenizer, maxTokens: settings.maxTokens }, "messages");
  const asked = fields.max_completion_tokens ?? fields.max_tokens;
  checkLength(prompt.length, asked, settings.maxTokens, "messages");
  const request = {
    ...toSampling(fields, tokenizer.vocabSize),
    prompt,
    choices,
    maxNewTokens: asked ?? settings.maxTokens - prompt.length,
    ...(fields.logprobs === true && { logprobs: top ?? 0 }),
  };
  return { requests: [request], choices, logprobs: fields.logprobs === true, ...toDelivery(fields) };
}
