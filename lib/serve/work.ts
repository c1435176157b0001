import type { GenerationRequest, TokenLogprob } from "../generate/request.js";

/** What a request's body asks of the engine, and how the answer is to be sent. */
export interface Work {
  /** One a prompt; each has `choices` answers. */
  readonly requests: readonly GenerationRequest[];
  readonly choices: number;
  /** The texts of the prompts, where they go before the answers. */
  readonly echoes?: readonly string[];
  /** Whether log-probabilities are told. */
  readonly logprobs: boolean;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

/** A token as an answer tells it. The first of a prompt has no log-probability. */
export interface ToldToken extends Omit<TokenLogprob, "logprob"> {
  readonly logprob: number | null;
  readonly top: readonly TokenLogprob[] | null;
}

/** A part of an answer, or the whole. */
export interface Piece {
  readonly index: number;
  readonly text: string;
  /** Where log-probabilities are asked for: of the tokens that were taken for this part. */
  readonly tokens: readonly ToldToken[];
  readonly finish: "stop" | "length" | null;
}

/** How an endpoint spells its answers. */
export interface AnswerShape {
  readonly idPrefix: string;
  readonly wholeObject: string;
  readonly chunkObject: string;
  /** What a stream's choice begins with, if with anything. */
  opening(index: number): object | undefined;
  /** A choice of a chunk. */
  part(piece: Piece): object;
  /** A choice of an answer that is sent at once. */
  whole(piece: Piece): object;
}
