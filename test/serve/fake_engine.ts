import { setTimeout as sleep } from "node:timers/promises";
import { AbortedError, ConfigError } from "../../lib/base/errors.js";
import type {
  EngineStats,
  GenerationEvent,
  GenerationRequest,
  ScoredToken,
  TextGenerator,
} from "../../lib/generate/request.js";
import type { Tokenizer } from "../../lib/text/tokenizer.js";

export interface FakeOptions {
  readonly maxTokens?: number;
  /** Time between tokens; 0 lets other work go first and no more. */
  readonly milliseconds?: number;
  /** Tokens after which an answer ends by itself. */
  readonly length?: number;
  /** Thrown in place of the token of this number. */
  readonly failAt?: number;
  readonly error?: unknown;
}

/**
 * Answers whose tokens follow from the prompt, the seed and the choice alone. It counts the requests that run, and notices
 * when one is given up.
 */
export class FakeEngine implements TextGenerator {
  readonly maxTokens: number;
  running = 0;
  started = 0;
  /** Requests that were ended from outside. */
  givenUp = 0;
  readonly requests: GenerationRequest[] = [];
  private generated = 0;

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly options: FakeOptions = {},
  ) {
    this.maxTokens = options.maxTokens ?? 512;
  }

  hasFailed = false;

  get stats(): EngineStats {
    const pages = { pages: 64, pagesUsed: this.running, pagesKept: 3 };
    const counts = { promptTokens: 0, cachedTokens: 0, generatedTokens: this.generated, steps: this.generated };
    return { running: this.running, waiting: 0, ...pages, ...counts, preemptions: 5, hasFailed: this.hasFailed };
  }

  /** The id of the token at a place of an answer: a plain one of the vocabulary. */
  tokenAt(request: GenerationRequest, choice: number, at: number): number {
    const sum = request.prompt.reduce((total, id) => (total * 31 + id) % 100_003, request.seed ?? 0);
    return 300 + ((sum + 17 * choice + 7 * at * at) % (this.tokenizer.vocabSize - 300));
  }

  /** The text of an answer of so many tokens. */
  textOf(request: GenerationRequest, choice: number, length: number): string {
    const ids = Array.from({ length }, (_, at) => this.tokenAt(request, choice, at));
    return Buffer.concat(ids.map((id) => this.tokenizer.textBytesOf(id))).toString();
  }

  async *generate(request: GenerationRequest): AsyncGenerator<GenerationEvent, void, void> {
    const { prompt, choices = 1, stop = [], signal } = request;
    if (prompt.length === 0) throw new ConfigError("prompt", "0 tokens, expected at least one");
    const length = Math.min(request.maxNewTokens ?? this.maxTokens, this.maxTokens - prompt.length);
    const natural = request.stopTokens?.length === 0 ? Number.POSITIVE_INFINITY : (this.options.length ?? 1000);
    this.requests.push(request);
    this.running++;
    this.started++;
    let isOver = false;
    try {
      await this.pause(signal);
      yield {
        kind: "prompt",
        cachedTokens: prompt.length >> 1,
        ...(request.promptLogprobs && { scores: Array.from(prompt.slice(1), (id, at) => this.score(id, at, request)) }),
      };
      const texts = Array.from({ length: choices }, () => "");
      const open = new Set(texts.keys());
      for (let at = 0; open.size > 0; at++) {
        if (at === this.options.failAt) throw this.options.error;
        if (at < length) await this.pause(signal);
        for (const choice of open) {
          if (at === length || at === natural) {
            open.delete(choice);
            yield { kind: "end", choice, finish: at === natural ? "stop" : "length", text: "", numTokens: at };
            continue;
          }
          const id = this.tokenAt(request, choice, at);
          const before = texts[choice]!;
          const all = before + this.tokenizer.textBytesOf(id).toString();
          const cut = Math.min(...stop.map((text) => all.indexOf(text)).filter((found) => found >= 0), all.length);
          const text = all.slice(before.length, Math.max(cut, before.length));
          texts[choice] = all;
          this.generated++;
          const score = request.logprobs === undefined ? {} : { score: this.score(id, at, request) };
          yield { kind: "token", choice, id, text, ...score };
          if (cut === all.length) continue;
          open.delete(choice);
          yield { kind: "end", choice, finish: "stop", text: "", numTokens: at + 1 };
        }
      }
      isOver = true;
    } finally {
      this.running--;
      if (!isOver) this.givenUp++;
    }
  }

  private score(id: number, at: number, { logprobs = 0 }: GenerationRequest): ScoredToken {
    const of = (token: number, logprob: number) => ({ id: token, bytes: this.tokenizer.textBytesOf(token), logprob });
    const isLikeliest = at % 2 === 0;
    const others = Array.from({ length: logprobs }, (_, i) => of(260 + ((id + 1 + i) % 40), -1 - i));
    const top = isLikeliest && logprobs > 0 ? [of(id, -0.5), ...others.slice(1)] : others;
    return { ...of(id, isLikeliest ? -0.5 : -3.25), top };
  }

  private async pause(signal: AbortSignal | undefined): Promise<void> {
    const { milliseconds = 0 } = this.options;
    try {
      if (milliseconds > 0) await sleep(milliseconds, undefined, signal && { signal });
      else await new Promise(setImmediate);
    } catch {
      // the signal below says it
    }
    if (signal?.aborted) throw new AbortedError(0, "the request was stopped");
  }
}
