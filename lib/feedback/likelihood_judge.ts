import type { Scale } from "./aspects.js";
import type { ChatModel } from "./chat_model.js";
import { type Judge, NO_USAGE, type Question, type Verdict } from "./judge.js";
import { judgePrompt, oneByOne } from "./judge_prompt.js";
import type { Rated } from "./rating.js";

/** `expected`: the mean of the numbers by their likelihoods. `likeliest`: the likeliest number, of equals the lowest. */
export type LikelihoodRule = "expected" | "likeliest";

/**
 * A judge that is asked about one answer at a time for a number alone, and whose likelihoods of the scale's numbers, made to
 * add up to 1, are the rating. It says no reasons and never N/A; the rationale holds the likelihoods.
 */
export function likelihoodJudge(model: Required<ChatModel>, rule: LikelihoodRule = "expected"): Judge {
  async function rateOne(question: Question, signal?: AbortSignal): Promise<Rated | undefined> {
    const { scale } = question.criterion;
    const logProbs = await model.logProbs(judgePrompt(question, "number"), spellings(scale), signal);
    return toRated(logProbs, scale, rule);
  }

  return {
    name: model.name,
    async rate(question, signal): Promise<Verdict> {
      const rated = await Promise.all(oneByOne(question).map((one) => rateOne(one, signal)));
      const ratings = rated.filter((one) => one !== undefined);
      if (ratings.length === rated.length) return { ratings, usage: NO_USAGE };
      return { reason: "no number of the scale has a likelihood", raw: "", usage: NO_USAGE };
    },
  };
}

/** The numbers as the judge would write them. Where one begins like another, 1 and 10, the end of the line tells them apart. */
function spellings({ least, most }: Scale): string[] {
  const numbers = Array.from({ length: most - least + 1 }, (_, i) => String(least + i));
  return most < 10 ? numbers : numbers.map((number) => `${number}\n`);
}

function toRated(logProbs: readonly number[], { least }: Scale, rule: LikelihoodRule): Rated | undefined {
  const highest = Math.max(...logProbs);
  if (!Number.isFinite(highest)) return undefined;
  const weights = logProbs.map((logProb) => Math.exp(logProb - highest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const shares = weights.map((weight) => weight / total);
  const expected = shares.reduce((sum, share, i) => sum + share * (least + i), 0);
  return {
    rating: rule === "expected" ? Math.round(expected * 1e4) / 1e4 : least + logProbs.indexOf(highest),
    rationale: shares.map((share, i) => `${least + i}: ${share.toFixed(3)}`).join(", "),
  };
}
