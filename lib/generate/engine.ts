import { randomInt } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { AbortedError, ConfigError } from "../base/errors.js";
import { Random } from "../base/random.js";
import { KvCache } from "../model/kv_cache.js";
import type { Llama } from "../model/llama.js";
import { checkRequest, positive } from "./admission.js";
import { Answers } from "./answers.js";
import { Job } from "./job.js";
import { PagePool } from "./page_pool.js";
import type { Part } from "./parts.js";
import type { EngineStats, GenerationEvent, GenerationRequest, TextGenerator } from "./request.js";
import { Sampler } from "./sampler.js";
import { Scheduler, type Share } from "./scheduler.js";
import { Sequence } from "./sequence.js";
import { type Outcome, Steps } from "./steps.js";
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
  /** Most tokens of a step. More of them make prompts faster, and answers in the meantime slower. Default 512, on a GPU 2048. */
  readonly tokensPerStep?: number | undefined;
  /** Whether prompts that begin alike share what the cache has of them. Default true. */
  readonly sharePrefixes?: boolean | undefined;
}

/** A step that is enqueued. */
interface Flight {
  readonly outcomes: Promise<readonly Outcome[]>;
  /** Whether the next step depends on what is done here with its tokens. */
  readonly isAwaited: boolean;
}

/** Tokens of a page of the cache. */
const PAGE_SIZE = 16;
const MOST_PAGES = 2 ** 26;
const GIB = 2 ** 30;
/** Milliseconds of telling and scoring after which others have their turn. */
const MOST_AT_A_STRETCH = 10;
/** A product reads its weights once a step: a GPU needs some hundreds of rows to hide that, a CPU's cores a few dozen. */
const DEFAULTS = {
  cpu: { maxSequences: 32, cacheBytes: GIB, tokensPerStep: 512 },
  cuda: { maxSequences: 256, cacheBytes: 8 * GIB, tokensPerStep: 2048 },
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
  private readonly steps: Steps;
  private readonly pool: PagePool;
  private readonly scheduler: Scheduler;
  private readonly answers: Answers;
  private readonly sharesPrefixes: boolean;
  private loop: Promise<void> | undefined;
  private failure: unknown;
  private ending: Promise<void> | undefined;
  private numSteps = 0;

  /** The model is not to change or end while requests run. Throws ConfigError for options that cannot be. */
  constructor(
    private readonly model: Llama,
    options: EngineOptions = {},
  ) {
    const { config, device } = model;
    const defaults = DEFAULTS[device.kind === "cuda" ? "cuda" : "cpu"];
    const maxSequences = positive("maxSequences", options.maxSequences ?? defaults.maxSequences);
    const tokensPerStep = positive("tokensPerStep", options.tokensPerStep ?? defaults.tokensPerStep);
    const all = maxSequences * Engine.cacheTokensOf(config.maxPositionEmbeddings);
    const roomy = Math.min(all, Engine.defaultCacheTokens(model));
    const cacheTokens = positive("cacheTokens", options.cacheTokens ?? roomy);
    const pages = Math.ceil(cacheTokens / PAGE_SIZE);
    if (pages > MOST_PAGES)
      throw new ConfigError("cacheTokens", `${cacheTokens}, expected at most ${MOST_PAGES * PAGE_SIZE}`);
    this.maxTokens = Math.min(config.maxPositionEmbeddings, pages * PAGE_SIZE);
    this.pool = new PagePool(pages);
    this.scheduler = new Scheduler(this.pool, {
      pageSize: PAGE_SIZE,
      maxSequences,
      tokensPerStep: Math.max(tokensPerStep, maxSequences),
    });
    this.sharesPrefixes = options.sharePrefixes !== false;
    this.answers = new Answers(this.scheduler, {
      bytesOf: options.bytesOf ?? (() => new Uint8Array()),
      stopTokens: options.stopTokens ?? [],
      sharePrefixes: this.sharesPrefixes,
    });
    this.steps = new Steps(model, { pages, pageSize: PAGE_SIZE });
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
      steps: this.numSteps,
      ...this.answers.done,
    };
  }

  async *generate(request: GenerationRequest): AsyncGenerator<GenerationEvent, void, void> {
    const { signal } = request;
    const job = this.begin(request);
    const abort = (): void => {
      const [{ numNewTokens, maxNewTokens }] = job.sequences as [Sequence];
      job.fail(new AbortedError(0, `stopped after ${numNewTokens} of at most ${maxNewTokens} tokens`));
      this.answers.end(job);
    };
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    try {
      for (let event = await job.next(); event !== undefined; event = await job.next()) yield event;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.answers.end(job);
    }
  }

  private begin(request: GenerationRequest): Job {
    if (this.failure !== undefined) throw this.failure;
    const { prompt, choices = 1, stop = [] } = request;
    const { vocabSize } = this.model.config;
    const maxNewTokens = checkRequest(request, { vocabSize, maxTokens: this.maxTokens });
    const seed = request.seed ?? randomInt(2 ** 47);
    const job = new Job(request, choices);
    for (let choice = 0; choice < choices; choice++) {
      const sampler = new Sampler(request, prompt, new Random(seed, choice));
      const mayShare = this.sharesPrefixes && !(request.promptLogprobs === true && choice === 0);
      this.answers.add(new Sequence(prompt, maxNewTokens, sampler, new TextStream(stop), { mayShare }), job);
    }
    job.onRead = () => {
      for (const sequence of job.sequences) if (!sequence.isEnded) this.scheduler.resume(sequence);
      this.loop ??= this.run();
    };
    this.scheduler.add(job.sequences[0]!); // the others follow when its prompt is in the cache
    this.loop ??= this.run();
    return job;
  }

  /**
   * Steps until nothing is left to do. While a step runs, the next one is enqueued: its tokens are those that the device
   * draws, so that it need not wait for anyone. An error of a step ends all requests, and the engine.
   */
  private async run(): Promise<void> {
    await undefined; // what is asked in one go shares the first step, and what is given up at once has none
    let flight: Flight | undefined;
    try {
      for (;;) {
        const next = flight?.isAwaited ? undefined : this.enqueue(this.scheduler.next());
        if (flight === undefined && next === undefined) break;
        if (flight !== undefined) await this.land(await flight.outcomes);
        flight = next;
      }
    } catch (error) {
      this.failure ??= error;
      this.answers.endAll(error);
      await flight?.outcomes.catch(() => undefined);
    }
    this.loop = undefined;
  }

  private enqueue(shares: readonly Share[]): Flight | undefined {
    if (shares.length === 0) return undefined;
    const parts = shares.map((share) => this.partOf(share));
    const outcomes = this.steps.enqueue(parts);
    outcomes.catch(() => undefined); // whoever lands it sees the error, and others what became of the engine
    for (const { sequence, count, draws } of parts) {
      sequence.advance(count, this.pool, PAGE_SIZE);
      if (draws) sequence.numAhead++;
    }
    this.numSteps++;
    return { outcomes, isAwaited: parts.some(({ sequence, draws }) => draws && sequence.sampler.needsTokens) };
  }

  private partOf({ sequence, count }: Share): Part {
    const { numComputed: first, promptLength } = sequence;
    const end = first + count;
    const draws = end === sequence.tokens.length + sequence.numAhead && sequence.maxNewTokens > 0;
    const scored: number[] = [];
    if (this.answers.scoresPrompt(sequence)) {
      for (let at = first; at < Math.min(end, promptLength - 1); at++) scored.push(at - first);
    }
    return { sequence, first, count, scored, draws, keepsLogits: draws && this.answers.scoresTokens(sequence) };
  }

  /** What came of a step is told, answer by answer. */
  private async land(outcomes: readonly Outcome[]): Promise<void> {
    let began = performance.now();
    const pause = async (): Promise<void> => {
      if (performance.now() - began < MOST_AT_A_STRETCH) return;
      await turn();
      began = performance.now();
    };
    for (const { part, scored, token, logits } of outcomes) {
      const { sequence, first, count } = part;
      for (const [i, behind] of scored.entries()) {
        this.answers.scorePrompt(sequence, first + part.scored[i]!, behind);
        await pause();
      }
      if (first + count >= sequence.promptLength) this.answers.readPrompt(sequence);
      if (token !== undefined) {
        sequence.numAhead--;
        this.answers.grow(sequence, token, logits);
        sequence.publish(this.pool, PAGE_SIZE);
      }
      await pause();
    }
    this.answers.holdUnread();
  }

  /** Ends all requests with an AbortedError, and frees the cache. */
  [Symbol.asyncDispose](): Promise<void> {
    this.ending ??= this.shutDown();
    return this.ending;
  }

  private async shutDown(): Promise<void> {
    this.failure ??= new AbortedError(0, "the engine was shut down");
    this.answers.endAll(this.failure);
    await this.loop;
    this.steps[Symbol.dispose]();
  }
}
