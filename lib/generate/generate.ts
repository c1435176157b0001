import { AbortedError, ConfigError } from "../base/errors.js";
import { Random } from "../base/random.js";
import { decode, prefill } from "../model/decode.js";
import { KvCache } from "../model/kv_cache.js";
import type { Llama } from "../model/llama.js";
import { Arena } from "../tensor/arena.js";
import { type SampleOptions, sampleToken } from "./sample.js";

export interface GenerateOptions extends Partial<SampleOptions> {
  readonly maxNewTokens: number;
  /** Tokens that end an answer; they are not part of it. */
  readonly stopTokens?: readonly number[];
  readonly seed?: number;
  /** Ends it with an AbortedError before the next token. */
  readonly signal?: AbortSignal | undefined;
}

export interface Generated {
  readonly ids: Int32Array;
  readonly finish: "stop" | "length";
}

interface Sequence {
  readonly prompt: Int32Array;
  readonly begin: number; // its first slot of the cache
  readonly answer: number[];
  readonly random: Random;
  finish?: "stop" | "length";
}

/** Prompts that share a pass through the model. More of them cost memory for the cache and gain little. */
const BATCH = 64;

/**
 * Continues prompts of token ids. Each has its own stream of random numbers, so that an answer depends on the seed and on
 * the prompt's place in the list, not on what else is in it. Throws ConfigError for options and prompts that cannot be.
 */
export async function generate(
  model: Llama,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
): Promise<Generated[]> {
  checkOptions(options);
  const results: Generated[] = [];
  for (let first = 0; first < prompts.length; first += BATCH) {
    const batch = prompts.slice(first, first + BATCH);
    results.push(...(await generateBatch(model, batch, first, options)));
  }
  return results;
}

function checkOptions({ maxNewTokens, temperature = 0, topP = 1 }: GenerateOptions): void {
  const refuse = (key: string, found: number, expected: string): never => {
    throw new ConfigError(key, `${found}, expected ${expected}`);
  };
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens > 0)) refuse("maxNewTokens", maxNewTokens, "a positive integer");
  if (!(temperature >= 0)) refuse("temperature", temperature, "a number from 0 up");
  if (!(topP > 0 && topP <= 1)) refuse("topP", topP, "a number above 0 and at most 1");
}

async function generateBatch(model: Llama, prompts: readonly Int32Array[], first: number, options: GenerateOptions) {
  const limit = model.config.maxPositionEmbeddings;
  const longest = Math.max(...prompts.map((prompt) => prompt.length));
  const shortest = Math.min(...prompts.map((prompt) => prompt.length));
  if (shortest === 0) throw new ConfigError("prompt", "0 tokens, expected at least one");
  if (longest >= limit) {
    throw new ConfigError("prompt", `${longest} tokens, expected fewer than max_position_embeddings, ${limit}`);
  }
  const capacity = Math.min(longest + options.maxNewTokens, limit);
  const sequences = prompts.map((prompt, b): Sequence => {
    return { prompt, begin: b * capacity, answer: [], random: new Random(options.seed ?? 0, first + b) };
  });

  const sizes = { sequences: prompts.length, capacity, dtype: model.parameters.dtype };
  using cache = new KvCache(model.device, model.config, sizes);
  using arena = new Arena(model.device);
  let running = sequences;
  stopIfAborted(0, options);
  let logits = await prefill(model, arena, cache, packPrompts(sequences)).readFloats();
  for (;;) {
    take(running, logits, options, capacity);
    running = running.filter(({ finish }) => finish === undefined);
    if (running.length === 0) break;
    stopIfAborted(running[0]!.answer.length, options);
    arena.reset();
    logits = await decode(model, arena, cache, {
      tokens: Int32Array.from(running, ({ answer }) => answer.at(-1)!),
      begins: Int32Array.from(running, ({ begin }) => begin),
      lengths: Int32Array.from(running, ({ prompt, answer }) => prompt.length + answer.length),
    }).readFloats();
  }
  return sequences.map(({ answer, finish }) => ({ ids: Int32Array.from(answer), finish: finish! }));
}

function stopIfAborted(done: number, { signal, maxNewTokens }: GenerateOptions): void {
  if (signal?.aborted) throw new AbortedError(0, `stopped after ${done} of at most ${maxNewTokens} tokens`);
}

/** Draws the next token of every running sequence from its row of the logits, and finds out which have ended. */
function take(running: readonly Sequence[], logits: Float32Array, options: GenerateOptions, capacity: number): void {
  const { temperature = 0, topP = 1, stopTokens = [], maxNewTokens } = options;
  const V = logits.length / running.length;
  running.forEach((sequence, b) => {
    const token = sampleToken(logits.subarray(b * V, (b + 1) * V), { temperature, topP }, sequence.random);
    if (stopTokens.includes(token)) {
      sequence.finish = "stop";
      return;
    }
    sequence.answer.push(token);
    const isFull = sequence.prompt.length + sequence.answer.length >= capacity;
    if (isFull || sequence.answer.length >= maxNewTokens) sequence.finish = "length";
  });
}

function packPrompts(sequences: readonly Sequence[]) {
  const T = sequences.reduce((n, { prompt }) => n + prompt.length, 0);
  const packed = {
    tokens: new Int32Array(T),
    positions: new Int32Array(T),
    sequenceStart: new Int32Array(T),
    visibleUntil: new Int32Array(T),
    slots: new Int32Array(T),
    rows: new Int32Array(sequences.length),
  };
  let at = 0;
  sequences.forEach(({ prompt, begin }, b) => {
    const end = at + prompt.length;
    packed.tokens.set(prompt, at);
    packed.sequenceStart.fill(at, at, end);
    packed.visibleUntil.fill(end, at, end);
    for (let i = 0; i < prompt.length; i++) {
      packed.positions[at + i] = i;
      packed.slots[at + i] = begin + i;
    }
    packed.rows[b] = end - 1;
    at = end;
  });
  return packed;
}
