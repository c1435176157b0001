import { randomInt } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { AbortedError, ConfigError } from "../base/errors.js";
import { Random } from "../base/random.js";
import { decode } from "../model/decode.js";
import { KvCache } from "../model/kv_cache.js";
import type { Llama } from "../model/llama.js";
import { Arena } from "../tensor/arena.js";
import { Job } from "./job.js";
import { PagePool } from "./page_pool.js";
import type { EngineStats, GenerationEvent, GenerationRequest, TextGenerator } from "./request.js";
import { Sampler } from "./sampler.js";
import { Scheduler, type Share } from "./scheduler.js";
import { type Scorer, scoreToken } from "./scores.js";
import { Sequence } from "./sequence.js";
import { packShares } from "./shares.js";
import { TextStream } from "./text_stream.js";

export interface EngineOptions {
  /** The UTF-8 bytes of a token, none of a special one. Default: none, so that answers are token ids alone. */
  readonly bytesOf?: ((id: number) => Uint8Array) | undefined;
  /** Tokens that end an answer where a request names none. */
  readonly stopTokens?: readonly number[] | undefined;
  /** Most answers that grow at the same time. Default 32, on a GPU 256. */
  readonly maxSequences?: number | undefined;
  /** Tokens that the cache has room for. Default: of `maxSequences` whole sequences, as far as 1 GiB (GPU: 8 GiB) hold. */
  readonly cacheTokens?: number | undefined;
  /** Most tokens of a step. More of them make prompts faster, and answers in the meantime slower. Default 512. */
  readonly tokensPerStep?: number | undefined;
  /** Whether prompts that begin alike share what the cache has of them. Default true. */
  readonly sharePrefixes?: boolean | undefined;
}

/** Tokens of a page of the cache. */
const PAGE_SIZE = 16;
const MOST_PAGES = 2 ** 26;
const GIB = 2 ** 30;
/** Milliseconds of sampling and scoring after which others have their turn. */
const MOST_AT_A_STRETCH = 10;
const DEFAULTS = {
  cpu: { maxSequences: 32, cacheBytes: GIB },
  cuda: { maxSequences: 256, cacheBytes: 8 * GIB },
};

/**
 * Continues prompts with a model, all requests at the same time: at every step each answer gets its next token, and what is
 * left of the step goes to the prompts of new ones (Yu et al., OSDI 2022). Keys and values lie in pages (Kwon et al.,
 * arXiv:2309.06180), so that memory is used as answers grow and prompts that begin alike share theirs.
 *
 * On a CPU every number is summed in an order that does not depend on what else is running, so that neither do the tokens.
 */
export class Engine implements TextGenerator, AsyncDisposable {
  readonly maxTokens: number;
  private readonly cache: KvCache;
  private readonly arena: Arena;
  private readonly pool: PagePool;
  private readonly scheduler: Scheduler;
  private readonly jobs = new Map<Sequence, { readonly job: Job; readonly choice: number }>();
  private readonly bytesOf: (id: number) => Uint8Array;
  private loop: Promise<void> | undefined;
  private failure: unknown;
  private ending: Promise<void> | undefined;
  private readonly done = { promptTokens: 0, cachedTokens: 0, generatedTokens: 0, steps: 0 };

  /** The model is not to change or end while requests run. Throws ConfigError for options that cannot be. */
  constructor(
    private readonly model: Llama,
    private readonly options: EngineOptions = {},
  ) {
    const { config, device, parameters } = model;
    const defaults = DEFAULTS[device.kind === "cuda" ? "cuda" : "cpu"];
    const maxSequences = positive("maxSequences", options.maxSequences ?? defaults.maxSequences);
    const tokensPerStep = positive("tokensPerStep", options.tokensPerStep ?? 512);
    const all = maxSequences * Engine.cacheTokensOf(config.maxPositionEmbeddings);
    const roomy = Math.min(all, Engine.defaultCacheTokens(model));
    const cacheTokens = positive("cacheTokens", options.cacheTokens ?? roomy);
    const pages = Math.ceil(cacheTokens / PAGE_SIZE);
    if (pages > MOST_PAGES)
      throw new ConfigError("cacheTokens", `${cacheTokens}, expected at most ${MOST_PAGES * PAGE_SIZE}`);
    this.maxTokens = Math.min(config.maxPositionEmbeddings, pages * PAGE_SIZE);
    this.bytesOf = options.bytesOf ?? (() => new Uint8Array());
    this.pool = new PagePool(pages);
    this.scheduler = new Scheduler(this.pool, {
      pageSize: PAGE_SIZE,
      maxSequences,
      tokensPerStep: Math.max(tokensPerStep, maxSequences),
    });
    this.cache = new KvCache(device, config, { pages, pageSize: PAGE_SIZE, dtype: parameters.dtype });
    this.arena = new Arena(device);
  }

  /** Tokens that the cache has room for by default, as far as memory is concerned. */
  static defaultCacheTokens({ config, device, parameters }: Llama): number {
    const { cacheBytes } = DEFAULTS[device.kind === "cuda" ? "cuda" : "cpu"];
    return Math.floor(cacheBytes / KvCache.bytesOfToken(config, parameters.dtype));
  }

  /** Tokens that the cache needs for a sequence of so many. */
  static cacheTokensOf(length: number): number {
    return Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  }

  get stats(): EngineStats {
    return {
      running: this.scheduler.numRunning,
      waiting: this.scheduler.numWaiting,
      pages: this.pool.size,
      pagesUsed: this.pool.size - this.pool.available,
      pagesKept: this.pool.numKept,
      preemptions: this.scheduler.numPreemptions,
      hasFailed: this.failure !== undefined,
      ...this.done,
    };
  }

  async *generate(request: GenerationRequest): AsyncGenerator<GenerationEvent, void, void> {
    const { signal } = request;
    const job = this.begin(request);
    const abort = (): void => {
      const [{ numNewTokens, maxNewTokens }] = job.sequences as [Sequence];
      job.fail(new AbortedError(0, `stopped after ${numNewTokens} of at most ${maxNewTokens} tokens`));
      this.end(job);
    };
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    try {
      for (let event = await job.next(); event !== undefined; event = await job.next()) yield event;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.end(job);
    }
  }

  private begin(request: GenerationRequest): Job {
    if (this.failure !== undefined) throw this.failure;
    const { prompt, choices = 1, stop = [] } = request;
    const vocabulary = this.model.config.vocabSize;
    if (prompt.length === 0) throw new ConfigError("prompt", "0 tokens, expected at least one");
    const unknown = prompt.find((id) => id < 0 || id >= vocabulary);
    if (unknown !== undefined) throw new ConfigError("prompt", `token ${unknown}, expected ids below ${vocabulary}`);
    const room = this.maxTokens - prompt.length;
    const maxNewTokens = Math.min(request.maxNewTokens ?? room, room);
    if (room < (request.maxNewTokens === 0 ? 0 : 1)) {
      throw new ConfigError(
        "prompt",
        `${prompt.length} tokens, expected fewer than the ${this.maxTokens} there is room for`,
      );
    }
    if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 0)) {
      throw new ConfigError("maxNewTokens", `${request.maxNewTokens}, expected a whole number`);
    }
    if (request.seed !== undefined && !Number.isSafeInteger(request.seed)) {
      throw new ConfigError("seed", `${request.seed}, expected a whole number`);
    }
    positive("choices", choices);
    if (request.logprobs !== undefined && !(Number.isInteger(request.logprobs) && request.logprobs >= 0)) {
      throw new ConfigError("logprobs", `${request.logprobs}, expected a whole number`);
    }
    if (stop.includes("")) throw new ConfigError("stop", "an empty text, expected one to stop at");

    const seed = request.seed ?? randomInt(2 ** 47);
    const job = new Job(request, choices);
    for (let choice = 0; choice < choices; choice++) {
      const sampler = new Sampler(request, prompt, new Random(seed, choice));
      const mayShare = this.sharesPrefixes && !(request.promptLogprobs === true && choice === 0);
      const sequence = new Sequence(prompt, maxNewTokens, sampler, new TextStream(stop), { mayShare });
      job.sequences.push(sequence);
      this.jobs.set(sequence, { job, choice });
    }
    job.onRead = () => {
      for (const sequence of job.sequences) if (!sequence.isEnded) this.scheduler.resume(sequence);
      this.loop ??= this.run();
    };
    this.scheduler.add(job.sequences[0]!); // the others follow when its prompt is in the cache
    this.loop ??= this.run();
    return job;
  }

  private get sharesPrefixes(): boolean {
    return this.options.sharePrefixes !== false;
  }

  /** Frees what a request still holds. */
  private end(job: Job): void {
    for (const sequence of job.sequences) if (!sequence.isEnded) this.retire(sequence);
  }

  private retire(sequence: Sequence): void {
    sequence.isEnded = true;
    this.scheduler.remove(sequence);
    this.jobs.delete(sequence);
  }

  /** Steps until nothing is left to do. An error of a step ends all requests, and the engine. */
  private async run(): Promise<void> {
    await undefined; // what is asked in one go shares the first step, and what is given up at once has none
    try {
      for (let shares = this.scheduler.next(); shares.length > 0; shares = this.scheduler.next())
        await this.step(shares);
    } catch (error) {
      this.failure ??= error;
      this.endAll(error);
    }
    this.loop = undefined;
  }

  private async step(shares: readonly Share[]): Promise<void> {
    const asked = shares.map((share) => this.rowsOf(share));
    this.arena.reset();
    const logits = decode(this.model, this.arena, this.cache, packShares(shares, asked, PAGE_SIZE));
    const floats = logits === undefined ? undefined : await logits.readFloats();
    if (floats === undefined) await this.model.device.sync();
    this.done.steps++;

    let row = 0;
    let began = performance.now();
    for (const [i, { sequence, count }] of shares.entries()) {
      const first = sequence.numComputed;
      if (!sequence.isEnded) sequence.advance(count, this.pool, PAGE_SIZE); // else its caller has gone in the meantime
      for (const at of asked[i]!) {
        const logits = rowOf(floats!, row++, this.model.config.vocabSize);
        if (!sequence.isEnded) this.take(sequence, first + at, logits);
        if (performance.now() - began < MOST_AT_A_STRETCH) continue;
        await turn();
        began = performance.now();
      }
    }
    for (const { job } of [...this.jobs.values()]) if (job.isFull && !job.isHeld) this.hold(job);
  }

  /** Those of a share's tokens behind which logits are needed: its sequence's last, and for scores the whole prompt's. */
  private rowsOf({ sequence, count }: Share): number[] {
    const { job, choice } = this.jobs.get(sequence)!;
    const all = Array.from({ length: count }, (_, i) => i);
    return all.filter((i) => {
      const at = sequence.numComputed + i;
      return at === sequence.tokens.length - 1 || (choice === 0 && job.scoresPrompt);
    });
  }

  /** What follows token `at` of a sequence is known. What goes wrong with it is its request's alone. */
  private take(sequence: Sequence, at: number, logits: Float32Array): void {
    const { job } = this.jobs.get(sequence)!;
    try {
      this.follow(sequence, at, logits);
    } catch (error) {
      job.fail(error);
      this.end(job);
    }
  }

  private follow(sequence: Sequence, at: number, logits: Float32Array): void {
    const { job } = this.jobs.get(sequence)!;
    if (at < sequence.promptLength - 1) {
      job.scores[at] = scoreToken(logits, sequence.tokens[at + 1]!, this.scorer(job));
      return;
    }
    if (!job.isPromptTold) this.tellPrompt(job, sequence);
    if (sequence.maxNewTokens === 0) this.finish(sequence, "length", "");
    else this.grow(sequence, logits);
  }

  /** An answer gets its next token. */
  private grow(sequence: Sequence, logits: Float32Array): void {
    const { job, choice } = this.jobs.get(sequence)!;
    const score = job.request.logprobs === undefined ? undefined : this.scorer(job);
    const raw = score && logits.slice(); // the sampler changes them
    const id = sequence.sampler.next(logits);
    const stopTokens = job.request.stopTokens ?? this.options.stopTokens ?? [];
    if (stopTokens.includes(id)) {
      this.finish(sequence, "stop", sequence.text.end());
      return;
    }
    sequence.append(id);
    this.done.generatedTokens++;
    const { text, isStopped } = sequence.text.push(this.bytesOf(id));
    job.tell({ kind: "token", choice, id, text, ...(score && { score: scoreToken(raw!, id, score) }) });
    if (isStopped) this.finish(sequence, "stop", "");
    else if (sequence.numNewTokens === sequence.maxNewTokens) this.finish(sequence, "length", sequence.text.end());
  }

  /** Answers that nobody reads make room for others; they go on where they were when their caller has read on. */
  private hold(job: Job): void {
    job.isHeld = true;
    for (const sequence of job.sequences) if (!sequence.isEnded) this.scheduler.remove(sequence);
  }

  private tellPrompt(job: Job, sequence: Sequence): void {
    const { promptLength, numShared = 0 } = sequence;
    this.done.promptTokens += promptLength;
    this.done.cachedTokens += numShared;
    const scores = job.scoresPrompt ? { scores: job.scores } : {};
    job.tell({ kind: "prompt", cachedTokens: numShared, ...scores });
    sequence.mayShare = this.sharesPrefixes;
    for (const other of job.sequences.slice(1)) this.scheduler.add(other);
  }

  private finish(sequence: Sequence, finish: "stop" | "length", text: string): void {
    const { job, choice } = this.jobs.get(sequence)!;
    this.retire(sequence);
    job.tell({ kind: "end", choice, finish, text, numTokens: sequence.numNewTokens });
  }

  private scorer({ request }: Job): Scorer {
    return { count: request.logprobs ?? 0, bytesOf: this.bytesOf };
  }

  /** Ends all requests with an AbortedError, and frees the cache. */
  [Symbol.asyncDispose](): Promise<void> {
    this.ending ??= this.shutDown();
    return this.ending;
  }

  private async shutDown(): Promise<void> {
    this.failure ??= new AbortedError(0, "the engine was shut down");
    this.endAll(this.failure);
    await this.loop;
    this.cache[Symbol.dispose]();
    this.arena[Symbol.dispose]();
  }

  private endAll(error: unknown): void {
    for (const { job } of this.jobs.values()) {
      job.fail(error);
      this.end(job);
    }
  }
}

const rowOf = (logits: Float32Array, row: number, size: number): Float32Array =>
  logits.subarray(row * size, (row + 1) * size);

function positive(key: string, value: number): number {
  if (Number.isInteger(value) && value > 0) return value;
  throw new ConfigError(key, `${value}, expected a positive integer`);
}
