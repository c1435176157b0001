import { setMaxListeners } from "node:events";
import { assert, ConfigError } from "../base/errors.js";
import type { Llama } from "../model/llama.js";
import { Engine } from "./engine.js";
import type { GenerationRequest, SamplingOptions } from "./request.js";

export interface GenerateOptions extends SamplingOptions {
  readonly maxNewTokens: number;
  /** 0, the default here, takes the most likely token. */
  readonly temperature?: number | undefined;
  /** Tokens that end an answer; they are not part of it. */
  readonly stopTokens?: readonly number[];
  /** Default 0. */
  readonly seed?: number | undefined;
  /** Ends it with an AbortedError before the next token. */
  readonly signal?: AbortSignal | undefined;
}

export interface Generated {
  readonly ids: Int32Array;
  readonly finish: "stop" | "length";
}

/** Most prompts that share a step. More of them cost memory for the cache and gain little. */
const MOST_AT_ONCE = 64;

/**
 * Continues prompts of token ids. Each has its own stream of random numbers, so that an answer depends on the seed and on
 * the prompt's place in the list, not on what else is in it. Throws ConfigError for options and prompts that cannot be.
 */
export async function generate(
  model: Llama,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
): Promise<Generated[]> {
  const { maxNewTokens, temperature = 0, seed = 0, stopTokens = [], signal, ...sampling } = options;
  if (prompts.length === 0) return [];
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens > 0)) {
    throw new ConfigError("maxNewTokens", `${maxNewTokens}, expected a positive integer`);
  }
  const limit = model.config.maxPositionEmbeddings;
  const atOnce = Math.min(prompts.length, MOST_AT_ONCE);
  const lengths = prompts.map(({ length }) => Math.min(length + maxNewTokens, limit)).sort((a, b) => b - a);
  const most = lengths.slice(0, atOnce).reduce((sum, length) => sum + Engine.cacheTokensOf(length), 0);
  const cacheTokens = Math.max(Engine.cacheTokensOf(lengths[0]!), Math.min(most, Engine.defaultCacheTokens(model)));
  await using engine = new Engine(model, { maxSequences: atOnce, cacheTokens });
  const controller = new AbortController();
  setMaxListeners(0, controller.signal); // every request listens
  const abort = (): void => controller.abort();
  const requests = prompts.map((prompt, i): GenerationRequest => {
    const own = { prompt, seed: seed + i * 2 ** 32, signal: controller.signal };
    return { ...sampling, maxNewTokens, temperature, stopTokens, ...own };
  });
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();
  try {
    return await Promise.all(requests.map((request) => collect(engine, request)));
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

async function collect(engine: Engine, request: GenerationRequest): Promise<Generated> {
  const ids: number[] = [];
  for await (const event of engine.generate(request)) {
    if (event.kind === "token") ids.push(event.id);
    if (event.kind === "end") return { ids: Int32Array.from(ids), finish: event.finish };
  }
  assert(false, "a request ends with the end of its choice");
}
