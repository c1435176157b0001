import type { ScoredToken, TokenLogprob } from "./request.js";
import { likeliestOf, logSumExp } from "./sampler.js";

export interface Scorer {
  /** How many of the likeliest tokens to tell beside it. */
  readonly count: number;
  readonly bytesOf: (id: number) => Uint8Array;
}

/** A token's log-probability by logits [V], and the likeliest in its place. */
export function scoreToken(logits: Float32Array, id: number, { count, bytesOf }: Scorer): ScoredToken {
  const total = logSumExp(logits);
  const of = (token: number): TokenLogprob => ({ id: token, bytes: bytesOf(token), logprob: logits[token]! - total });
  return { ...of(id), top: likeliestOf(logits, Math.min(count, logits.length)).map(of) };
}
