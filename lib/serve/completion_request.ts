import { z } from "zod";
import type { GenerationRequest } from "../generate/request.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { type ApiError, badRequest } from "./api_error.js";
import { checkBody } from "./check.js";
import {
  checkChoices,
  checkModel,
  commonFields,
  MAX_TOP_LOGPROBS,
  toDelivery,
  toSampling,
  unsupportedFields,
} from "./fields.js";
import type { ServedModel, Settings } from "./options.js";
import { checkLength, encodePrompt } from "./prompt_length.js";
import type { Work } from "./work.js";

const DEFAULT_MAX_TOKENS = 16;

const schema = z.strictObject({
  ...commonFields,
  prompt: z.unknown(),
  max_tokens: z.int().min(0).optional(),
  echo: z.boolean().optional(),
  logprobs: z.int().min(0).max(MAX_TOP_LOGPROBS).optional(),
  best_of: z.int().min(1).optional(),
});

/** What the body of POST /v1/completions asks for. Throws ApiError. */
export function readCompletionRequest(body: unknown, { tokenizer }: ServedModel, settings: Settings): Work {
  const fields = checkBody(schema, body, unsupportedFields);
  checkModel(fields.model, settings.name);
  const {
    n: choices = 1,
    echo = false,
    logprobs,
    best_of: best = choices,
    max_tokens: maxNewTokens = DEFAULT_MAX_TOKENS,
  } = fields;
  if (best !== choices)
    throw badRequest(
      `'best_of' is ${best}, expected the same as 'n', which is ${choices}.`,
      "best_of",
      "invalid_value",
    );
  if (maxNewTokens === 0 && !echo)
    throw badRequest(
      "'max_tokens' is 0, expected a positive integer where 'echo' is not true.",
      "max_tokens",
      "invalid_value",
    );
  const given = toPrompts(fields.prompt, tokenizer.vocabSize);
  checkChoices(given.length * choices, settings.maxChoices);

  const sampling = toSampling(fields, tokenizer.vocabSize);
  // Harnesses that score prompts ask for one token behind them and drop it, whatever it is: an end of sequence too.
  const endsNever = echo && logprobs !== undefined && maxNewTokens === 1;
  const requests = given.map((prompt): GenerationRequest => {
    const encoding = { tokenizer, maxTokens: settings.maxTokens, addSpecialTokens: true };
    const ids = typeof prompt === "string" ? encodePrompt(prompt, encoding, "prompt") : prompt;
    if (ids.length === 0) throw wrongPrompt("a prompt has no tokens");
    checkLength(ids.length, maxNewTokens, settings.maxTokens, "prompt");
    return {
      ...sampling,
      prompt: ids,
      choices,
      maxNewTokens,
      ...(logprobs !== undefined && { logprobs, promptLogprobs: echo }),
      ...(endsNever && { stopTokens: [] }),
    };
  });
  const echoes = given.map((prompt) => (typeof prompt === "string" ? prompt : textOf(prompt, tokenizer)));
  return { requests, choices, logprobs: logprobs !== undefined, ...(echo && { echoes }), ...toDelivery(fields) };
}

const wrongPrompt = (what: string): ApiError =>
  badRequest(`Invalid value for 'prompt': ${what}.`, "prompt", "invalid_value");

/** A text, texts, token ids, or lists of token ids. Read by hand: a schema would list every wrong entry of a million. */
function toPrompts(value: unknown, vocabSize: number): (string | Int32Array)[] {
  const expected = "expected a text, token ids, or a list of either";
  if (typeof value === "string") return [value];
  if (value === undefined)
    throw badRequest("Missing required parameter: 'prompt'.", "prompt", "missing_required_parameter");
  if (!Array.isArray(value)) throw wrongPrompt(expected);
  if (value.length === 0) throw wrongPrompt("an empty list");
  if (typeof value[0] === "number") return [toIds(value, vocabSize)];
  return value.map((entry) => {
    if (typeof entry === "string" && typeof value[0] === "string") return entry;
    if (Array.isArray(entry) && Array.isArray(value[0])) return toIds(entry, vocabSize);
    throw wrongPrompt(expected);
  });
}

function toIds(values: readonly unknown[], vocabSize: number): Int32Array {
  const wrong = values.find((id) => !(Number.isInteger(id) && (id as number) >= 0 && (id as number) < vocabSize));
  if (wrong !== undefined) throw wrongPrompt(`expected token ids, which are whole numbers below ${vocabSize}`);
  return Int32Array.from(values as readonly number[]);
}

const textOf = (ids: Int32Array, tokenizer: Tokenizer): string =>
  Buffer.concat(Array.from(ids, (id) => tokenizer.textBytesOf(id))).toString();
