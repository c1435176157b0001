import { createHash } from "node:crypto";
import { basename } from "node:path";

import { CRITERIA } from "../feedback/aspects.js";
import { Budget, type Tally, type Usage } from "../feedback/budget.js";
import { chatJudge } from "../feedback/chat_judge.js";
import type { ChatModel } from "../feedback/chat_model.js";
import type { Origin } from "../feedback/journal_lines.js";
import type { Judge } from "../feedback/judge.js";
import { judgePrompt, type ReplyForm } from "../feedback/judge_prompt.js";
import { likelihoodJudge } from "../feedback/likelihood_judge.js";
import { loadRuleJudge, originOfRules } from "../feedback/rule_judge.js";
import { type ChatModelRecipe, nameOf } from "../recipe/feedback_generate.js";
import type { FeedbackScoreRecipe, JudgeRecipe } from "../recipe/feedback_score.js";
import { openLocal, priceOf, reachEndpoint } from "./chat_models.js";
import type { LoadTextModel } from "./load_engine.js";

/** A recipe's judge before it is loaded. */
export interface ReadyJudge {
  readonly name: string;
  readonly tally: Tally;
  /** Most calls at the same time. */
  readonly concurrency: number;
  /** Makes it ready to judge. */
  open(): Promise<OpenJudge>;
}

export interface OpenJudge extends AsyncDisposable {
  readonly judge: Judge;
}

/** How a judge is asked; undefined for rules, which are not. */
export function formOf({ endpoint, rules, json }: JudgeRecipe): ReplyForm | undefined {
  if (rules !== null) return undefined;
  if (endpoint === null) return "number";
  return json ? "json" : "text";
}

export const judgeName = ({ name, model, rules }: JudgeRecipe): string =>
  model === null ? (name ?? basename(rules!)) : nameOf({ name, model });

/**
 * What verdicts depend on: with anything else a journal is not gone on with. Where and how fast is not part of it, nor which
 * rows and which aspects. Throws FileError and ConfigError for rules that are not there, or are none.
 */
export async function judgeOrigin({ judge, seed }: FeedbackScoreRecipe): Promise<Origin> {
  const { model, endpoint, json, likelihood, temperature, top_p, max_tokens, extra_body, send_seed } = judge;
  const form = formOf(judge);
  if (form === undefined) return { seed, judge: await originOfRules(judge.rules!) };
  const own =
    endpoint === null
      ? { is_local: true, dtype: judge.dtype, chat_template: judge.chat_template, likelihood }
      : { is_local: false, json, temperature, top_p, max_tokens, extra_body, send_seed };
  return { seed, judge: { model, ...own, questions: hashQuestions(form) } };
}

/** Changes with the words in which judges are asked. */
function hashQuestions(form: ReplyForm): string {
  const questions = Object.values(CRITERIA).map((criterion) => {
    const place = { source: "", index: 0 };
    const messages = [{ role: "user", content: "prompt" }];
    return judgePrompt({ criterion, messages, responses: ["first", "second"], place }, form);
  });
  return createHash("sha256").update(JSON.stringify(questions)).digest("hex").slice(0, 16);
}

/** Calls of a model of this machine at the same time; its engine lets those wait it has no room for. */
const LOCAL_CONCURRENCY = 32;

/**
 * Throws ConfigError for an endpoint that cannot be asked. A model of this machine, and rules, are loaded when it is opened.
 * `onLost` is told of tokens that were spent on no verdict.
 */
export function readyJudge(
  recipe: FeedbackScoreRecipe,
  load: LoadTextModel,
  onLost: (usage: Usage) => void,
): ReadyJudge {
  const { judge: own, seed, grace, budget } = recipe;
  const limits = { tokens: budget.tokens ?? undefined, cost: budget.cost ?? undefined };
  const common = { name: judgeName(own), concurrency: own.concurrency };
  if (own.model === null) {
    const tally = new Budget().tally();
    return { ...common, tally, open: async () => ({ judge: await loadRuleJudge(own.rules!), ...NOTHING_TO_CLOSE }) };
  }
  const model: ChatModelRecipe = { ...own, model: own.model, stop: null };
  if (own.endpoint === null) {
    const tally = new Budget().tally(); // it costs nothing, so that no budget counts it
    const open = async (): Promise<OpenJudge> => {
      const opened = await openLocal(model, load, tally);
      const judge = likelihoodJudge(opened.model as Required<ChatModel>, own.likelihood);
      return { judge, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
    };
    return { ...common, tally, concurrency: LOCAL_CONCURRENCY, open };
  }
  const tally = new Budget(limits).tally(priceOf(own), onLost);
  const { temperature, top_p, max_tokens: maxTokens, attempts, json } = own;
  const judge = chatJudge(reachEndpoint(model, { key: "judge", tally, grace }), {
    ...{ temperature, topP: top_p ?? undefined, maxTokens, attempts, json, onWasted: onLost },
    seed: own.send_seed ? seed : undefined,
  });
  return { ...common, tally, open: async () => ({ judge, ...NOTHING_TO_CLOSE }) };
}

const NOTHING_TO_CLOSE: AsyncDisposable = { async [Symbol.asyncDispose]() {} };
