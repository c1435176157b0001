import { AnswerError, ConfigError } from "../base/errors.js";
import type { Message } from "../text/chat_template.js";
import type { Tally, Usage } from "./budget.js";
import type { ChatAnswer, ChatModel, ChatOptions } from "./chat_model.js";
import { type Clock, stopped, systemClock } from "./clock.js";
import { type FailedTry, readReply } from "./endpoint_reply.js";
import { type RequestOptions, requestBody } from "./endpoint_request.js";
import { PostFailure, post, type Reply } from "./http_post.js";
import { RateLimiter, type RateLimits } from "./rate_limit.js";
import { backoff, RETRY_DEFAULTS, type RetryOptions } from "./retry.js";
import { estimateTokens } from "./token_estimate.js";

/** An endpoint that speaks OpenAI's chat completions, and how it is asked. Times are in milliseconds. */
export interface EndpointOptions extends RequestOptions, RetryOptions, Partial<RateLimits> {
  /** As rows name the model; default `model`. */
  readonly name?: string | undefined;
  /** What `/chat/completions` is added to. */
  readonly url: string;
  /** Sent as a bearer token. It is in no message and no file. */
  readonly apiKey?: string | undefined;
  /** Of one try, until its whole answer is there; at most 300,000. Default 120,000. */
  readonly timeout?: number | undefined;
  /** How long answers may still come after the signal: they are paid for. Default 15,000. */
  readonly grace?: number | undefined;
  /** Most bytes of a reply. Default 8 MiB. */
  readonly maxBytes?: number | undefined;
  readonly clock?: Clock | undefined;
  /** Draws the waits between tries. */
  readonly random?: (() => number) | undefined;
}

/** Set aside for an answer that has no limit of its own. */
const MOST_TOKENS = 4096;
const MESSAGE_LENGTH = 300;
/** An endpoint that refuses so many chats in a row with a schema, and takes them without, is sent no more schemas. */
const MOST_SCHEMA_REFUSALS = 2;
/** A refusal that says why, so that one is enough. */
const OF_SCHEMAS = /response.?format|schema/i;

/**
 * A model behind an endpoint. It tries again after what passes: limits, timeouts, dropped connections, replies that are
 * not whole; it waits for the limits' and the tally's leave before each try, and tells the tally what was spent. Throws
 * ConfigError for a URL or a key that cannot be; its answers throw AnswerError, BudgetError and AbortedError.
 */
export function endpointModel(options: EndpointOptions, tally: Tally): ChatModel {
  const { name = options.model, clock = systemClock, random = Math.random } = options;
  const tries = options.tries ?? RETRY_DEFAULTS.tries;
  const firstWait = options.firstWait ?? RETRY_DEFAULTS.firstWait;
  const mostWait = options.mostWait ?? RETRY_DEFAULTS.mostWait;
  const limiter = new RateLimiter({ ...options, concurrency: options.concurrency ?? 8 }, clock);
  const url = completionsUrl(options.url);
  const authorization = options.apiKey === undefined ? {} : { authorization: bearerOf(options.apiKey) };
  let schemaRefusals = 0;

  /** One try, when it may be made. */
  async function attempt(body: object, most: Usage, signal: AbortSignal | undefined): Promise<ChatAnswer | FailedTry> {
    const reservation = await tally.reserve(most, signal);
    const estimate = most.promptTokens + most.completionTokens;
    const turn = await limiter.turn(estimate, signal).catch((error) => {
      reservation.release();
      throw error;
    });
    try {
      const { timeout = 120_000, grace = 15_000, maxBytes = 2 ** 23 } = options;
      const sent = post(url, body, { headers: authorization, timeout, grace, maxBytes, signal });
      const result = readReplyOf(await sent.catch(toFailedTry), most, clock);
      if (!isFailed(result)) {
        turn.correct(result.promptTokens + result.completionTokens);
        reservation.settle(result);
      } else if (result.mayBeCharged) {
        reservation.lose();
      } else {
        turn.correct(0);
        reservation.release();
      }
      if (isFailed(result) && result.isLimited) limiter.pause(Math.min(mostWait, result.retryAfter ?? 0));
      return result;
    } finally {
      turn.end();
    }
  }

  async function answer(messages: readonly Message[], asked: ChatOptions = {}): Promise<ChatAnswer> {
    const most = { promptTokens: estimateTokens(messages), completionTokens: asked.maxTokens ?? MOST_TOKENS };
    let schema = schemaRefusals < MOST_SCHEMA_REFUSALS ? asked.schema : undefined;
    let refusal: FailedTry | undefined;
    for (let tried = 0; ; ) {
      const result = await attempt(requestBody(messages, { ...asked, schema }, options), most, asked.signal);
      if (!isFailed(result)) {
        if (refusal !== undefined) schemaRefusals += OF_SCHEMAS.test(refusal.message) ? MOST_SCHEMA_REFUSALS : 1;
        else if (schema !== undefined) schemaRefusals = 0;
        return result;
      }
      if (result.failure === "refused" && schema !== undefined) {
        schema = undefined; // many endpoints know no schemas; once more without tells whether that was it
        refusal = result;
        continue;
      }
      tried++;
      if (result.mayRetry && asked.signal?.aborted) throw stopped();
      if (!result.mayRetry || tried >= tries) throw toError(result, tried);
      await clock.sleep(backoff(tried, result.retryAfter, { firstWait, mostWait }, random), asked.signal);
    }
  }

  function toError({ failure, message, mayRetry }: FailedTry, tried: number): AnswerError {
    const { apiKey } = options;
    const safe = apiKey === undefined ? message : message.replaceAll(apiKey, "[key]");
    const line = safe.replace(/\s+/g, " ").trim();
    const shown = line.length > MESSAGE_LENGTH ? `${line.slice(0, MESSAGE_LENGTH)}...` : line;
    return new AnswerError(name, failure, mayRetry ? `${shown} (try ${tried} of ${tries})` : shown);
  }

  return { name, answer };
}

const isFailed = (result: ChatAnswer | FailedTry): result is FailedTry => "failure" in result;

const readReplyOf = (reply: Reply | FailedTry, most: Usage, clock: Clock): ChatAnswer | FailedTry =>
  "failure" in reply ? reply : readReply(reply, most.promptTokens, clock.now);

function toFailedTry(error: unknown): FailedTry {
  if (!(error instanceof PostFailure)) throw error;
  return { failure: "unavailable", message: error.message, mayRetry: true, mayBeCharged: error.hasArrived };
}

function bearerOf(apiKey: string): string {
  if (/^[\x21-\x7e]+$/.test(apiKey)) return `Bearer ${apiKey}`;
  const found = apiKey === "" ? "an empty key" : "a key with blanks, line breaks or characters beyond ASCII";
  throw new ConfigError("api_key_env", `${found}, expected letters, digits and signs`);
}

function completionsUrl(base: string): URL {
  const url = URL.canParse(base) ? new URL(base) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new ConfigError("endpoint", `${base}, expected an address that begins with http:// or https://`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new ConfigError("endpoint", `credentials for ${url.host}, expected the key in the environment`);
  }
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/chat/completions`;
  return url;
}
