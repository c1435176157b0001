import type { AnswerFailure } from "../base/errors.js";
import { isObject } from "../base/json.js";
import type { ChatAnswer } from "./chat_model.js";
import type { Reply } from "./http_post.js";
import { readRetryAfter } from "./retry.js";
import { estimateTextTokens } from "./token_estimate.js";

/** Why a try gave no answer. */
export interface FailedTry {
  readonly failure: AnswerFailure;
  readonly message: string;
  readonly mayRetry: boolean;
  /** Whether its tokens may have been charged. */
  readonly mayBeCharged: boolean;
  /** Milliseconds that the endpoint asks to wait. */
  readonly retryAfter?: number | undefined;
  /** Whether it asks for fewer requests. */
  readonly isLimited?: boolean;
}

const PASSING = new Set([408, 409, 425, 429]);
const DENIED = new Set([401, 402, 403, 404, 405]);

/** What a reply says: an answer, or why there is none. `promptTokens` stands in where it does not count tokens. */
export function readReply(
  { status, headers, text }: Reply,
  promptTokens: number,
  now: () => number,
): ChatAnswer | FailedTry {
  const body = parse(text);
  const error = isObject(body) ? body.error : undefined;
  if (status >= 200 && status < 300) {
    if (!isObject(body)) return garbled("an answer that is no JSON object", text);
    if (error == null) return toAnswer(body, promptTokens) ?? garbled("an answer without choices", text);
  }
  const own = isObject(error) && typeof error.code === "number" ? error.code : 500; // of an error in a reply of status 200
  const code = status >= 200 && status < 300 ? own : status;
  const message = `HTTP ${code}: ${messageOf(body, text, headers)}`;
  if (code >= 500 || (PASSING.has(code) && !isOutOfCredit(error))) {
    const retryAfter = readRetryAfter(headers, now);
    const passing = { failure: "unavailable", mayRetry: true, mayBeCharged: false } as const;
    return { ...passing, message, retryAfter, isLimited: code === 429 };
  }
  const isDenied = code < 400 || DENIED.has(code) || isOutOfCredit(error);
  return { failure: isDenied ? "denied" : "refused", message, mayRetry: false, mayBeCharged: false };
}

const garbled = (what: string, text: string): FailedTry => {
  const message = text.trim() === "" ? `${what}: nothing` : `${what}: ${text}`;
  return { failure: "unavailable", message, mayRetry: true, mayBeCharged: true };
};

const isOutOfCredit = (error: unknown): boolean => isObject(error) && error.code === "insufficient_quota";

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function toAnswer(body: Record<string, unknown>, promptTokens: number): ChatAnswer | undefined {
  const choice: unknown = Array.isArray(body.choices) ? body.choices[0] : undefined;
  if (!isObject(choice) || !isObject(choice.message)) return undefined;
  const { content, refusal } = choice.message;
  const isRefusal = typeof refusal === "string" && refusal !== "";
  const text = isRefusal ? refusal : textOf(content);
  if (text === undefined) return undefined;
  const usage = isObject(body.usage) ? body.usage : {};
  const count = (value: unknown, instead: number): number =>
    typeof value === "number" && value >= 0 && Number.isFinite(value) ? value : instead;
  return {
    text,
    finish: isRefusal ? "filter" : finishOf(choice.finish_reason),
    promptTokens: count(usage.prompt_tokens, promptTokens),
    completionTokens: count(usage.completion_tokens, estimateTextTokens(text)),
  };
}

/** Text, or parts of it. Nothing at all is an empty answer: its tokens went into thoughts that are not shown. */
function textOf(content: unknown): string | undefined {
  if (content === null || content === undefined) return "";
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return undefined;
  return content.map((part) => (isObject(part) && typeof part.text === "string" ? part.text : "")).join("");
}

function finishOf(reason: unknown): ChatAnswer["finish"] {
  if (reason === "length" || reason === "max_tokens") return "length";
  return reason === "content_filter" ? "filter" : "stop";
}

/** What an endpoint says of an error: `{error: {message}}`, `{error}`, `{message}`, `{detail}`, or text. */
function messageOf(body: unknown, text: string, headers: Headers): string {
  const location = headers.get("location");
  if (location !== null) return `moved to ${location}`;
  if (!isObject(body)) return text.trim() === "" ? "no message" : text;
  const { error, message, detail } = body;
  const said = (isObject(error) ? error.message : error) ?? message ?? detail;
  return typeof said === "string" && said !== "" ? said : text;
}
