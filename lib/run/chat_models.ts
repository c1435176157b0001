import { ConfigError } from "../base/errors.js";
import type { Price, Tally } from "../feedback/budget.js";
import type { ChatModel, ChatOptions } from "../feedback/chat_model.js";
import { endpointModel } from "../feedback/endpoint.js";
import { localModel } from "../feedback/local_model.js";
import { type ChatModelRecipe, nameOf } from "../recipe/feedback_generate.js";
import type { LoadTextModel } from "./load_engine.js";

// A model as a recipe names it becomes one that answers.

/** Loads a model of this machine. Throws as `load` does. */
export async function openLocal(recipe: ChatModelRecipe, load: LoadTextModel, tally: Tally): Promise<OpenChatModel> {
  const { model: folder, device, dtype, threads, chat_template } = recipe;
  const options = { device, dtype: dtype ?? undefined, threads: threads ?? undefined };
  const loaded = await load(folder, { ...options, chatTemplate: chat_template ?? undefined });
  return {
    model: localModel(nameOf(recipe), loaded, tally),
    [Symbol.asyncDispose]: () => loaded[Symbol.asyncDispose](),
  };
}

export interface OpenChatModel extends AsyncDisposable {
  readonly model: ChatModel;
}

export interface ReachOptions {
  /** Path of the model in its recipe, for errors: `models.0`. */
  readonly key: string;
  readonly tally: Tally;
  /** Seconds. */
  readonly grace: number;
}

/**
 * A model behind its endpoint. Throws ConfigError for an address that is none, and a key that is not in the environment or
 * cannot be sent.
 */
export function reachEndpoint(recipe: ChatModelRecipe, { key, tally, grace }: ReachOptions): ChatModel {
  const options = {
    name: nameOf(recipe),
    url: recipe.endpoint!,
    model: recipe.model,
    apiKey: recipe.api_key_env === null ? undefined : readKey(recipe.api_key_env, `${key}.api_key_env`),
    concurrency: recipe.concurrency,
    requestsPerMinute: recipe.requests_per_minute ?? undefined,
    tokensPerMinute: recipe.tokens_per_minute ?? undefined,
    timeout: recipe.timeout * 1000,
    tries: recipe.tries,
    mostWait: recipe.max_wait * 1000,
    grace: grace * 1000,
    maxTokensField: recipe.max_tokens_field,
    extraBody: recipe.extra_body ?? undefined,
  };
  try {
    return endpointModel(options, tally);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`${key}.${error.key}`, error.message.slice(error.key.length + 2));
  }
}

function readKey(variable: string, key: string): string {
  const value = process.env[variable]?.trim();
  if (value) return value;
  throw new ConfigError(key, `${variable} is not set in the environment, expected the endpoint's key there`);
}

/** How a recipe's model is to answer. */
export const samplingOf = ({ temperature, top_p, max_tokens, stop }: ChatModelRecipe): ChatOptions => {
  return {
    temperature: temperature ?? undefined,
    topP: top_p ?? undefined,
    maxTokens: max_tokens,
    stop: stop ?? undefined,
  };
};

/** What its tokens cost, if anything. */
export const priceOf = ({ price }: Pick<ChatModelRecipe, "price">): Price | undefined => price ?? undefined;
