import { type Answers, isFailed } from "./answers.js";
import type { Price } from "./budget.js";
import { type Assignment, assign, type Member, messagesFor } from "./ensemble.js";
import type { FeedbackPrompt } from "./prompts.js";
import { estimateTokens } from "./token_estimate.js";

/** The answers that are wanted of each member, in the prompts' order. */
export type Work<M extends Member> = ReadonlyMap<M, readonly Assignment<M>[]>;

export interface DrawOptions {
  readonly seed: number;
  /** Answers to each prompt. */
  readonly count: number;
}

/** Draws who answers what. A prompt that is there several times is answered once. */
export function drawWork<M extends Member>(
  prompts: readonly FeedbackPrompt[],
  members: readonly M[],
  draw: DrawOptions,
): Work<M> {
  const work = new Map(members.map((member) => [member, [] as Assignment<M>[]]));
  const distinct = new Map(prompts.map((prompt) => [prompt.key, prompt]));
  for (const prompt of distinct.values()) {
    for (const one of assign(prompt, members, draw)) work.get(one.member)!.push(one);
  }
  return work;
}

/** What is to be asked of a member. */
export interface MemberPlan {
  readonly model: string;
  readonly answers: number;
  /** Of these, how many are there already, and how many failed and are not asked again. */
  readonly done: number;
  readonly failed: number;
  /** Of what is left to ask: tokens by an estimate, and at most, of the answers. */
  readonly prompt_tokens: number;
  readonly most_completion_tokens: number;
  /** What that costs at most; null without a price. */
  readonly most_cost: number | null;
}

/** What is left of the work, and what it may take. */
export function planOf<M extends Member>(
  work: Work<M>,
  answers: Answers,
  retryFailed: boolean,
  limitsOf: (member: M) => { readonly maxTokens: number; readonly price: Price | undefined },
): MemberPlan[] {
  return [...work].map(([member, wanted]) => {
    const left = wanted.filter((one) => !answers.isDone(one, retryFailed));
    const isKeptFailure = (one: Assignment<M>): boolean => isFailed(answers.of(one)!);
    const settled = wanted.filter((one) => answers.isDone(one, retryFailed));
    const failed = settled.filter(isKeptFailure).length;
    const { maxTokens, price } = limitsOf(member);
    const promptTokens = left.reduce((sum, one) => sum + estimateTokens(messagesFor(one)), 0);
    const most = left.length * maxTokens;
    return {
      model: member.name,
      answers: wanted.length,
      done: settled.length - failed,
      failed,
      prompt_tokens: promptTokens,
      most_completion_tokens: most,
      most_cost: price === undefined ? null : (promptTokens * price.input + most * price.output) / 1e6,
    };
  });
}
