import { dirname } from "node:path";

import { AbortedError } from "../base/errors.js";
import { makeFolder } from "../base/files.js";
import { writeRows } from "../data/write_rows.js";
import { type AnswerRecord, Answers, isFailed, KeptAnswers } from "../feedback/answers.js";
import { askEnsemble } from "../feedback/ask_ensemble.js";
import { completionRows } from "../feedback/completion_rows.js";
import { countFailures, type FailureCount } from "../feedback/failures.js";
import { Journal } from "../feedback/journal.js";
import { drawWork, type MemberPlan, planOf, type Work } from "../feedback/plan.js";
import { type FeedbackPrompt, toFeedbackPrompt } from "../feedback/prompts.js";
import type { FeedbackGenerateRecipe } from "../recipe/feedback_generate.js";
import { priceOf } from "./chat_models.js";
import { makeReady, originOf, type ReadyMember, readMembers } from "./feedback_members.js";
import { FeedbackCount, type FeedbackProgress } from "./feedback_progress.js";
import { type LoadTextModel, loadEngine } from "./load_engine.js";
import { checkApart } from "./output_apart.js";
import { readDataset } from "./read_dataset.js";

export interface GenerateFeedbackOptions {
  /** Ask again for answers that were refused or held back by a filter. */
  readonly retryFailed?: boolean | undefined;
  /** Is told how far it is: at the beginning, and with every answer. */
  readonly report?: ((progress: FeedbackProgress) => void) | undefined;
  /** Ends it with an AbortedError. Answers that are on their way have the recipe's grace to arrive, and are kept. */
  readonly signal?: AbortSignal | undefined;
  /** Makes models of this machine ready to answer. */
  readonly load?: LoadTextModel | undefined;
}

/** What was done. The counts are of all answers in the output, earlier runs included. */
export interface FeedbackSummary extends FeedbackProgress {
  readonly prompts: number;
  readonly output: string;
  /** Why answers are missing in it. */
  readonly failures: readonly FailureCount[];
}

/** What would be done. */
export interface FeedbackPlan {
  readonly prompts: number;
  readonly models: readonly MemberPlan[];
  /** Where finished answers lie, and how many records there are. */
  readonly journal: string;
  readonly records: number;
}

export const journalOf = ({ output }: Pick<FeedbackGenerateRecipe, "output">): string => `${output}.journal`;

/**
 * Has several models answer prompts and writes the rows, whole or not at all. Every answer is in a journal beside the
 * output as soon as it is there; a call with the same recipe asks for nothing that is in it, and may have more prompts, a
 * larger budget, other addresses. An answer that failed is missing in its row. Throws ConfigError, FileError and DataError
 * before anything is asked; then also what `askEnsemble` throws, and everything that was answered is kept.
 */
export async function generateFeedback(
  recipe: FeedbackGenerateRecipe,
  options: GenerateFeedbackOptions = {},
): Promise<FeedbackSummary> {
  const { retryFailed = false, report, signal, load = loadEngine } = options;
  const members = makeReady(recipe, load, (model, usage) => kept.keepLoss(model, usage));
  const prompts = await readPrompts(recipe);
  const draw = drawOf(recipe);
  const work = drawWork(prompts, members, draw);
  await makeFolder(dirname(recipe.output));
  const kept = await KeptAnswers.open(journalOf(recipe), originOf(recipe));
  try {
    countSpent(members, kept.records);
    const count = countOf(work, kept, retryFailed);
    const tell = (): void => report?.(count.progress());
    tell();
    const onKept = (member: ReadyMember, hasFailed: boolean): void => {
      count.add(member, hasFailed);
      tell();
    };
    const { seed, failures_in_a_row: failuresInARow } = recipe;
    await askEnsemble(work, kept, { seed, failuresInARow, retryFailed, onKept, signal }).catch((error) => {
      if (!(error instanceof AbortedError)) throw error;
      const { done, total } = count.progress();
      const where = done > 0 ? `; they are in ${journalOf(recipe)}, and the same command goes on` : "";
      throw new AbortedError(0, `stopped after ${done} of ${total} answers${where}`);
    });
    await writeRows(recipe.output, completionRows(prompts, members, kept, draw));
    return { ...count.progress(), prompts: prompts.length, output: recipe.output, failures: countFailures(work, kept) };
  } finally {
    await kept.close();
  }
}

/** What `generateFeedback` would ask, and what of it is there already. Nothing is asked, loaded or written. */
export async function planFeedback(
  recipe: FeedbackGenerateRecipe,
  { retryFailed = false }: Pick<GenerateFeedbackOptions, "retryFailed"> = {},
): Promise<FeedbackPlan> {
  const members = readMembers(recipe);
  const prompts = await readPrompts(recipe);
  const journal = journalOf(recipe);
  const records = await Journal.read<AnswerRecord>(journal, originOf(recipe));
  const models = planOf(drawWork(prompts, members, drawOf(recipe)), new Answers(records), retryFailed, ({ index }) => {
    const own = recipe.models[index]!;
    return { maxTokens: own.max_tokens, price: priceOf(own) };
  });
  return { prompts: prompts.length, models, journal, records: records.length };
}

async function readPrompts({ prompts: path, split, limit, output }: FeedbackGenerateRecipe): Promise<FeedbackPrompt[]> {
  await checkApart(path, output);
  const prompts: FeedbackPrompt[] = [];
  for await (const row of readDataset(path, { split, limit: limit ?? undefined })) prompts.push(toFeedbackPrompt(row));
  return prompts;
}

const drawOf = ({ seed, completions_per_prompt }: FeedbackGenerateRecipe) => ({ seed, count: completions_per_prompt });

/** What earlier runs spent counts. */
function countSpent(members: readonly ReadyMember[], records: readonly AnswerRecord[]): void {
  const tallies = new Map(members.map(({ name, tally }) => [name, tally]));
  for (const { model, prompt_tokens, completion_tokens } of records) {
    tallies.get(model)?.count({ promptTokens: prompt_tokens, completionTokens: completion_tokens });
  }
}

function countOf(work: Work<ReadyMember>, answers: Answers, retryFailed: boolean): FeedbackCount {
  const count = new FeedbackCount([...work].map(([member, wanted]) => ({ member, total: wanted.length })));
  for (const [member, wanted] of work) {
    for (const one of wanted) {
      if (answers.isDone(one, retryFailed)) count.addEarlier(member, isFailed(answers.of(one)!));
    }
  }
  return count;
}
