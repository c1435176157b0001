import type { Tokenizer } from "../text/tokenizer.js";
import { type ApiError, badRequest } from "./api_error.js";

/**
 * The tokens of a prompt. A text that cannot fit, if all its tokens were the longest there are, is not encoded: that
 * would take seconds of a body of megabytes, in which nobody else is answered. Throws ApiError.
 */
export function encodePrompt(
  text: string,
  { tokenizer, maxTokens, ...options }: { tokenizer: Tokenizer; maxTokens: number; addSpecialTokens?: boolean },
  param: string,
): Int32Array {
  const least = Math.ceil(Buffer.byteLength(text) / tokenizer.longestToken);
  if (least > maxTokens)
    throw tooLong(maxTokens, `at least ${least}`, `${Buffer.byteLength(text)} bytes of text`, param);
  return tokenizer.encode(text, options);
}

/** Throws ApiError where a prompt, and the answer if its length is named, is longer than may be. */
export function checkLength(prompt: number, answer: number | undefined, maxTokens: number, param: string): void {
  const needed = prompt + (answer ?? 1);
  if (needed <= maxTokens) return;
  const rest = answer === undefined ? "and room for an answer" : `${answer} for the answer`;
  throw tooLong(maxTokens, `${needed}`, `${prompt} in the prompt, ${rest}`, param);
}

const tooLong = (maxTokens: number, needed: string, parts: string, param: string): ApiError =>
  badRequest(
    `This model's maximum context length is ${maxTokens} tokens, but ${needed} were requested (${parts}). Please shorten one of them.`,
    param,
    "context_length_exceeded",
  );
