import { z } from "zod";
import { isObject } from "../base/json.js";
import type { SamplingOptions } from "../generate/request.js";
import { ApiError, badRequest } from "./api_error.js";

/** Most of the likeliest tokens that are told of a place. */
export const MAX_TOP_LOGPROBS = 20;
const MAX_BIASES = 1024;
const MAX_STOP_LENGTH = 256; // each token's text is compared with what a stop text may begin with

/** An array of few entries: how many there are is checked before what they are, so that no body causes many errors. */
export const fewOf = <T extends z.ZodType>(entry: T, most: number) =>
  z.array(z.unknown()).max(most).pipe(z.array(entry));

const ignored = z.unknown().optional();
const stopText = z.string().min(1).max(MAX_STOP_LENGTH);

/** What chats and completions have in common. */
export const commonFields = {
  model: z.string().optional(),
  stream: z.boolean().optional(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional() }).optional(),
  n: z.int().min(1).optional(),
  seed: z.int().optional(),
  stop: z.preprocess((stop) => (typeof stop === "string" ? [stop] : stop), fewOf(stopText, 4).optional()),
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().gt(0).max(1).optional(),
  top_k: z.int().min(0).optional(),
  min_p: z.number().min(0).max(1).optional(),
  presence_penalty: z.number().min(-2).max(2).optional(),
  frequency_penalty: z.number().min(-2).max(2).optional(),
  repetition_penalty: z.number().gt(0).max(10).optional(),
  logit_bias: z.unknown().optional(),
  user: ignored,
  metadata: ignored,
  store: ignored,
  service_tier: ignored,
};

export type CommonFields = z.infer<z.ZodObject<typeof commonFields>>;

/** Known to OpenAI's API in chats or completions, and not to this server. */
export const unsupportedFields: ReadonlySet<string> = new Set([
  ...["tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"],
  ...["modalities", "audio", "prediction", "web_search_options", "reasoning_effort", "verbosity", "suffix"],
]);

/** Throws ApiError for another model than the one that is served. */
export function checkModel(asked: string | undefined, served: string): void {
  if (asked === undefined || asked === served) return;
  const message = `The model '${asked}' does not exist; this server has '${served}'.`;
  throw new ApiError(404, message, { param: "model", code: "model_not_found" });
}

/** How a request wants its answer sent. Throws ApiError where it contradicts itself. */
export function toDelivery(fields: CommonFields): { readonly stream: boolean; readonly includeUsage: boolean } {
  const stream = fields.stream === true;
  if (fields.stream_options !== undefined && !stream)
    throw badRequest("'stream_options' is only allowed where 'stream' is true.", "stream_options", "invalid_value");
  return { stream, includeUsage: fields.stream_options?.include_usage === true };
}

/** The engine's options. Throws ApiError for biases of what is no token. */
export function toSampling(fields: CommonFields, vocabSize: number): SamplingOptions & { readonly stop?: string[] } {
  return {
    temperature: fields.temperature,
    topK: fields.top_k,
    topP: fields.top_p,
    minP: fields.min_p,
    repetitionPenalty: fields.repetition_penalty,
    presencePenalty: fields.presence_penalty,
    frequencyPenalty: fields.frequency_penalty,
    seed: fields.seed,
    ...(fields.logit_bias !== undefined && { logitBias: toBiases(fields.logit_bias, vocabSize) }),
    ...(fields.stop !== undefined && { stop: fields.stop }),
  };
}

function toBiases(value: unknown, vocabSize: number): Map<number, number> {
  const wrong = (what: string): ApiError =>
    badRequest(`Invalid value for 'logit_bias': ${what}.`, "logit_bias", "invalid_value");
  if (!isObject(value)) throw wrong("expected an object of token ids and numbers");
  const entries = Object.entries(value);
  if (entries.length > MAX_BIASES) throw wrong(`${entries.length} entries, expected at most ${MAX_BIASES}`);
  return new Map(
    entries.map(([key, bias]) => {
      const id = /^\d{1,9}$/.test(key) ? Number(key) : vocabSize;
      if (id >= vocabSize) throw wrong(`a key is no token id below ${vocabSize}`);
      if (typeof bias !== "number" || bias < -100 || bias > 100) throw wrong("expected numbers from -100 to 100");
      return [id, bias];
    }),
  );
}

/** Throws ApiError for more answers than one request may have. */
export function checkChoices(choices: number, most: number): void {
  if (choices > most)
    throw badRequest(`${choices} answers were requested, expected at most ${most}.`, "n", "invalid_value");
}
