/** How the next token is drawn from the logits. The defaults draw from the model's own distribution. */
export interface SamplingOptions {
  /** Divides the logits; 0 takes the most likely token. Default 1. */
  readonly temperature?: number | undefined;
  /** Draw among so many of the likeliest tokens (Fan et al., arXiv:1805.04833). Default 0: among all. */
  readonly topK?: number | undefined;
  /** Draw among the likeliest tokens that together hold this share of the probability (Holtzman et al., arXiv:1904.09751). Default 1. */
  readonly topP?: number | undefined;
  /** Draw among tokens at least this many times as likely as the likeliest (Nguyen et al., arXiv:2407.01082). Default 0. */
  readonly minP?: number | undefined;
  /**
   * Divides positive logits, and multiplies negative ones, of tokens that are in the prompt or the answer (Keskar et al.,
   * arXiv:1909.05858). Default 1.
   */
  readonly repetitionPenalty?: number | undefined;
  /** Taken from the logits of tokens that are in the answer. Default 0. */
  readonly presencePenalty?: number | undefined;
  /** Taken from the logits of tokens as often as they are in the answer. Default 0. */
  readonly frequencyPenalty?: number | undefined;
  /** Added to the logits of token ids. */
  readonly logitBias?: ReadonlyMap<number, number> | undefined;
  /**
   * Two requests with the same prompt, options and seed get the same tokens, whatever else is running. Default: drawn, so
   * that every answer is another.
   */
  readonly seed?: number | undefined;
}

/** A prompt to continue. */
export interface GenerationRequest extends SamplingOptions {
  readonly prompt: Int32Array;
  /** Most tokens of an answer; 0 asks for nothing but the prompt. Default: what the prompt leaves of the model's positions. */
  readonly maxNewTokens?: number | undefined;
  /** Tokens that end an answer; they are not part of it. Default: the model's and the tokenizer's end of sequence. */
  readonly stopTokens?: readonly number[] | undefined;
  /** Texts that end an answer; they and what follows are not part of it. */
  readonly stop?: readonly string[] | undefined;
  /** Answers to give. Default 1. */
  readonly choices?: number | undefined;
  /** Tell the log-probability of every token, and of so many of the likeliest in its place. Default: of none. */
  readonly logprobs?: number | undefined;
  /** Tell the same of the prompt's tokens, but for the first, which nothing predicts. */
  readonly promptLogprobs?: boolean | undefined;
  /** Ends the request with an AbortedError. */
  readonly signal?: AbortSignal | undefined;
}

/** A token and how likely the model found it, before temperature, penalties and biases. */
export interface TokenLogprob {
  readonly id: number;
  /** The UTF-8 bytes it stands for, which may be a part of a character; none for a special token. */
  readonly bytes: Uint8Array;
  /** Natural logarithm. */
  readonly logprob: number;
}

export interface ScoredToken extends TokenLogprob {
  /** The likeliest tokens in its place, likeliest first. */
  readonly top: readonly TokenLogprob[];
}

/** What becomes of a request, in this order: its prompt once, then tokens and an end of every choice. */
export type GenerationEvent =
  | {
      readonly kind: "prompt";
      /** Tokens at its beginning whose keys and values were there already. */
      readonly cachedTokens: number;
      /** With `promptLogprobs`: of every token but the first. */
      readonly scores?: readonly ScoredToken[];
    }
  | {
      readonly kind: "token";
      readonly choice: number;
      readonly id: number;
      /**
       * What is sure of the text and was not told before: nothing while a character is not complete or a stop text may
       * have begun.
       */
      readonly text: string;
      readonly score?: ScoredToken;
    }
  | {
      readonly kind: "end";
      readonly choice: number;
      /** `stop`: a stop token or text. `length`: as many tokens as were allowed, or as the model has positions for. */
      readonly finish: "stop" | "length";
      /** The rest of the text. */
      readonly text: string;
      /** Tokens of the answer; a stop token that ended it is not among them. */
      readonly numTokens: number;
    };

/** How busy an engine is, and what it has done. */
export interface EngineStats {
  readonly running: number;
  readonly waiting: number;
  /** Pages of the cache: in use by requests, kept for prompts that begin alike, and all. */
  readonly pagesUsed: number;
  readonly pagesKept: number;
  readonly pages: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly generatedTokens: number;
  readonly steps: number;
  /** Requests that were set back because the cache was full, and began again later. */
  readonly preemptions: number;
  /** Whether a step has failed, or the engine was shut down: it answers nothing any more. */
  readonly hasFailed: boolean;
}

/** What a server needs of an engine. */
export interface TextGenerator {
  /** Most tokens of prompt and answer together: the model's positions, or fewer where the cache is smaller. */
  readonly maxTokens: number;
  /**
   * Runs a request. Its answers grow while they are read: with some hundreds of events untaken they stand still. Ends after the last choice's end. Abandoning the iteration ends the request and frees its memory.
   * Throws ConfigError for what cannot be: an empty prompt, one that is too long, a number out of range.
   */
  generate(request: GenerationRequest): AsyncGenerator<GenerationEvent, void, void>;
  readonly stats: EngineStats;
}
