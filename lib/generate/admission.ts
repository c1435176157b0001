import { ConfigError } from "../base/errors.js";
import type { GenerationRequest } from "./request.js";

/** Each is a sequence from the beginning, and all wait for the prompt: more of them hold up whatever else there is to do. */
const MOST_CHOICES = 10_000;

/** Throws ConfigError for what cannot be, and returns how many new tokens an answer may have at most. */
export function checkRequest(
  { prompt, stop = [], ...request }: GenerationRequest,
  { vocabSize, maxTokens }: { readonly vocabSize: number; readonly maxTokens: number },
): number {
  if (prompt.length === 0) throw new ConfigError("prompt", "0 tokens, expected at least one");
  const unknown = prompt.find((id) => id < 0 || id >= vocabSize);
  if (unknown !== undefined) throw new ConfigError("prompt", `token ${unknown}, expected ids below ${vocabSize}`);
  const room = maxTokens - prompt.length;
  const maxNewTokens = Math.min(request.maxNewTokens ?? room, room);
  if (room < (request.maxNewTokens === 0 ? 0 : 1)) {
    throw new ConfigError("prompt", `${prompt.length} tokens, expected fewer than the ${maxTokens} there is room for`);
  }
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 0)) {
    throw new ConfigError("maxNewTokens", `${request.maxNewTokens}, expected a whole number`);
  }
  if (request.seed !== undefined && !Number.isSafeInteger(request.seed)) {
    throw new ConfigError("seed", `${request.seed}, expected a whole number`);
  }
  if (positive("choices", request.choices ?? 1) > MOST_CHOICES) {
    throw new ConfigError("choices", `${request.choices}, expected at most ${MOST_CHOICES}`);
  }
  if (request.logprobs !== undefined && !(Number.isInteger(request.logprobs) && request.logprobs >= 0)) {
    throw new ConfigError("logprobs", `${request.logprobs}, expected a whole number`);
  }
  if (stop.includes("")) throw new ConfigError("stop", "an empty text, expected one to stop at");
  return maxNewTokens;
}

export function positive(key: string, value: number): number {
  if (Number.isInteger(value) && value > 0) return value;
  throw new ConfigError(key, `${value}, expected a positive integer`);
}
