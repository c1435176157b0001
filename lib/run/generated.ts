import type { Completion } from "../generate/complete.js";
import type { GenerationRequest, TokenLogprob } from "../generate/request.js";

/** What is asked of an answer, besides its prompt. */
export type CompletionOptions = Omit<GenerationRequest, "prompt" | "promptLogprobs">;

/** A token as JSON tells it: a part of a character is shown as U+FFFD, a special token as nothing. */
export interface ShownLogprob {
  readonly id: number;
  readonly token: string;
  readonly logprob: number;
}

export interface ShownScore extends ShownLogprob {
  /** The likeliest tokens in its place, likeliest first. */
  readonly top: readonly ShownLogprob[];
}

const showToken = ({ id, bytes, logprob }: TokenLogprob): ShownLogprob => {
  return { id, token: Buffer.from(bytes).toString("utf8"), logprob };
};

/** The log-probabilities of an answer's tokens. */
export const showScores = ({ scores }: Completion): ShownScore[] =>
  scores.map((score) => ({ ...showToken(score), top: score.top.map(showToken) }));
