import type { Message } from "../text/chat_template.js";
import type { ChatOptions } from "./chat_model.js";

/** What of a request is the endpoint's own. */
export interface RequestOptions {
  /** As the endpoint names it. */
  readonly model: string;
  /** Where the endpoint looks for the most tokens of an answer. Default `max_tokens`. */
  readonly maxTokensField?: "max_tokens" | "max_completion_tokens" | undefined;
  /** Entries that are added to every request, and go before its own. */
  readonly extraBody?: Readonly<Record<string, unknown>> | undefined;
}

/** The body of POST /chat/completions. */
export function requestBody(
  messages: readonly Message[],
  { temperature, topP, maxTokens, seed, stop, schema }: ChatOptions,
  { model, maxTokensField = "max_tokens", extraBody }: RequestOptions,
): Record<string, unknown> {
  const format = schema && { type: "json_schema", json_schema: { ...schema, strict: true } };
  return {
    model,
    messages: messages.map(({ role, content }) => ({ role, content })),
    temperature,
    top_p: topP,
    [maxTokensField]: maxTokens,
    seed,
    stop,
    response_format: format,
    ...extraBody,
  };
}
