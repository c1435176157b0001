import { createHash } from "node:crypto";
import type { SourceRow } from "../data/source.js";
import { type Agreement, agreementOf } from "./agreement.js";
import { promptIdOf } from "./binarize.js";
import type { Rating } from "./rating.js";
import { type ScoredPrompt, toScoredPrompt } from "./scored.js";
import type { Paired } from "./statistics.js";

/** Two judges on the same answers. */
export interface JudgeComparison {
  /** Prompts and answers in both files, and those of one alone. */
  readonly prompts: InBoth;
  readonly answers: InBoth;
  /** By aspect; `mean` is an answer's mean rating, `overall_score` its overall score. */
  readonly scores: Readonly<Record<string, ScoreAgreement>>;
}

export interface InBoth {
  readonly both: number;
  readonly onlyA: number;
  readonly onlyB: number;
}

export interface ScoreAgreement extends Agreement {
  /** Answers to which the aspect does not apply, for both judges and for one. */
  readonly bothNotApplicable: number;
  readonly oneNotApplicable: number;
  readonly preferences: PreferenceAgreement;
}

/** Which of two answers to a prompt is better, of all pairs that both judges scored. */
export interface PreferenceAgreement {
  readonly pairs: number;
  readonly same: number;
  readonly opposite: number;
  readonly oneTied: number;
  readonly bothTied: number;
  /** Share of the same among those that neither ties. */
  readonly agreement: number | null;
}

/**
 * Compares the scores of two judges. Rows belong together by prompt and, in a chat, what was said before; their answers by
 * model and text. Throws DataError for a row of another shape.
 */
export async function compareJudges(
  a: AsyncIterable<SourceRow>,
  b: AsyncIterable<SourceRow>,
): Promise<JudgeComparison> {
  const [first, second] = [await collectScores(a), await collectScores(b)];
  const gathered = new Map<string, Gathered>();
  let answersInBoth = 0;
  for (const [prompt, answers] of first) {
    const others = second.get(prompt);
    const shared = others === undefined ? [] : [...answers].filter(([answer]) => others.has(answer));
    answersInBoth += shared.length;
    gather(
      shared.map(([answer, scores]) => [scores, others!.get(answer)!]),
      gathered,
    );
  }
  const promptsInBoth = [...first.keys()].filter((prompt) => second.has(prompt)).length;
  return {
    prompts: inBoth(promptsInBoth, first.size, second.size),
    answers: inBoth(answersInBoth, countAnswers(first), countAnswers(second)),
    scores: Object.fromEntries([...gathered].map(([name, found]) => [name, toScoreAgreement(found)])),
  };
}

const inBoth = (both: number, ofA: number, ofB: number): InBoth => ({ both, onlyA: ofA - both, onlyB: ofB - both });

/** The scores of an answer, by name. */
type Scores = ReadonlyMap<string, Rating>;

/** By prompt, then by answer. */
type ScoredAnswers = ReadonlyMap<string, ReadonlyMap<string, Scores>>;

const countAnswers = (scored: ScoredAnswers): number =>
  [...scored.values()].reduce((sum, answers) => sum + answers.size, 0);

async function collectScores(rows: AsyncIterable<SourceRow>): Promise<ScoredAnswers> {
  const scored = new Map<string, Map<string, Scores>>();
  for await (const fields of rows) {
    const row = toScoredPrompt(fields);
    const prompt = promptKey(row);
    const answers = scored.get(prompt) ?? new Map<string, Scores>();
    scored.set(prompt, answers);
    for (const { model, response, ratings, meanRating, overallScore } of row.completions) {
      const scores = new Map(ratings);
      if (meanRating !== undefined) scores.set("mean", meanRating);
      if (overallScore !== undefined) scores.set("overall_score", overallScore);
      let answer = hash([model, response]);
      while (answers.has(answer)) answer += "+"; // the same once more
      answers.set(answer, scores);
    }
  }
  return scored;
}

const promptKey = (row: ScoredPrompt): string =>
  row.messages.length === 1 ? promptIdOf(row) : `${promptIdOf(row)} ${hash(row.messages)}`;

const hash = (value: unknown): string => createHash("sha256").update(JSON.stringify(value)).digest("base64");

/** What is known of one score. */
interface Gathered {
  readonly ratings: Paired[];
  bothNotApplicable: number;
  oneNotApplicable: number;
  readonly preferences: Record<"same" | "opposite" | "oneTied" | "bothTied", number>;
}

const nothing = (): Gathered => ({
  ratings: [],
  bothNotApplicable: 0,
  oneNotApplicable: 0,
  preferences: { same: 0, opposite: 0, oneTied: 0, bothTied: 0 },
});

/** Takes the answers to one prompt into account. */
function gather(answers: readonly (readonly [a: Scores, b: Scores])[], gathered: Map<string, Gathered>): void {
  const names = new Set(answers.flatMap(([a, b]) => [...a.keys()].filter((name) => b.has(name))));
  for (const name of names) {
    const found = gathered.get(name) ?? nothing();
    gathered.set(name, found);
    const rated: Paired[] = [];
    for (const [a, b] of answers) {
      const [ofA, ofB] = [a.get(name), b.get(name)];
      if (ofA === undefined || ofB === undefined) continue;
      if (ofA !== "N/A" && ofB !== "N/A") rated.push([ofA, ofB]);
      else if (ofA === ofB) found.bothNotApplicable++;
      else found.oneNotApplicable++;
    }
    found.ratings.push(...rated);
    for (const [i, one] of rated.entries()) {
      for (const other of rated.slice(i + 1)) found.preferences[compare(one, other)]++;
    }
  }
}

function compare(one: Paired, other: Paired): keyof Gathered["preferences"] {
  const [a, b] = [Math.sign(one[0] - other[0]), Math.sign(one[1] - other[1])];
  if (a === 0 || b === 0) return a === b ? "bothTied" : "oneTied";
  return a === b ? "same" : "opposite";
}

function toScoreAgreement({ ratings, preferences, ...notApplicable }: Gathered): ScoreAgreement {
  const { same, opposite, oneTied, bothTied } = preferences;
  const decided = same + opposite;
  return {
    ...agreementOf(ratings),
    ...notApplicable,
    preferences: {
      pairs: decided + oneTied + bothTied,
      ...preferences,
      agreement: decided === 0 ? null : same / decided,
    },
  };
}
