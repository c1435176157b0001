import type { RowPlace } from "../base/errors.js";
import type { Message } from "../text/chat_template.js";
import type { Criterion } from "./aspects.js";
import type { Usage } from "./budget.js";
import type { Rated } from "./rating.js";

/** Answers to a prompt that are to be rated for one thing. */
export interface Question {
  readonly criterion: Criterion;
  /** The chat up to the answers. */
  readonly messages: readonly Message[];
  /** In the order in which they are shown. */
  readonly responses: readonly string[];
  /** The row they are from. */
  readonly place: RowPlace;
}

/** A rating for each response, in the order shown; or why there is none, and what the judge said last. */
export type Verdict = { readonly usage: Usage } & (
  | { readonly ratings: readonly Rated[] }
  | { readonly reason: string; readonly raw: string }
);

/** Anything that rates answers. */
export interface Judge {
  /** As reports name it. */
  readonly name: string;
  /** Throws what the judge's model throws, and AbortedError with the signal. */
  rate(question: Question, signal?: AbortSignal): Promise<Verdict>;
}

export const NO_USAGE: Usage = { promptTokens: 0, completionTokens: 0 };

export const addUsage = (a: Usage, b: Usage): Usage => ({
  promptTokens: a.promptTokens + b.promptTokens,
  completionTokens: a.completionTokens + b.completionTokens,
});
