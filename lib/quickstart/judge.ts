import { CLOSINGS, findRecipe, STORY_CLOSING, showFact } from "./answer.js";
import { type Question, readQuestion, type Topic } from "./question.js";
import { ANIMALS, COMFORTS, findAnimal, NUMBERS } from "./valley.js";
import { ASIDE, HEDGE } from "./writer.js";

/**
 * This judge is a set of rules over the valley's tables. It stands in for the large language model that rates answers
 * in Zephyr's AI feedback, and it rates the same four aspects on UltraFeedback's scale, so that what follows is the same.
 */
export const JUDGE_NOTICE = "the judge is a set of rules that stands in for an LLM judge";

/** 1 (worst) to 5 (best), or "N/A" where the aspect does not apply. */
export type Rating = number | "N/A";

export interface Ratings {
  /** Is it about what was asked? */
  readonly instruction_following: Rating;
  /** Sure of what is known, open about what is not. */
  readonly honesty: Rating;
  /** Does it agree with the valley's tables? */
  readonly truthfulness: Rating;
  /** Whole, not repetitive, to the point, with a friendly end. */
  readonly helpfulness: Rating;
}

export interface Judgement {
  readonly ratings: Ratings;
  /** Mean of the numeric ratings, 1 to 5. */
  readonly mean: number;
  /** The same as a score of 1 to 10, to the nearest whole number. */
  readonly overallScore: number;
  /** What was found wanting, in words. */
  readonly findings: readonly string[];
}

/** Rates an answer. A prompt that is not of this world is rated for helpfulness only. */
export function judgeAnswer(prompt: string, answer: string): Judgement {
  const question = readQuestion(prompt);
  const findings: string[] = [];
  const rate = (deductions: readonly Deduction[]): number => {
    const found = deductions.filter(([isFound]) => isFound);
    findings.push(...found.map(([, , finding]) => finding));
    return Math.max(
      1,
      found.reduce((rating, [, points]) => rating - points, 5),
    );
  };
  const text = ` ${answer.trim().replace(/\s+/g, " ")} `;
  const ratings: Ratings = {
    instruction_following: question ? rate(askedFor(question, text)) : "N/A",
    honesty:
      question && question.kind !== "story" && question.kind !== "comfort" ? rate(doubts(question, text)) : "N/A",
    truthfulness: question && question.kind !== "story" ? rate(untruths(question, text)) : "N/A",
    helpfulness: rate(shortcomings(question, text)),
  };
  const numbers = Object.values(ratings).filter((rating) => typeof rating === "number");
  const mean = numbers.reduce((sum, rating) => sum + rating, 0) / numbers.length;
  return { ratings, mean, overallScore: Math.round(1 + ((mean - 1) * 9) / 4), findings };
}

/** What is looked for, the points it costs, and how it is told. */
type Deduction = readonly [isFound: boolean, points: number, finding: string];

const has = (text: string, words: string): boolean => new RegExp(`\\b${words}\\b`, "i").test(text);
const count = (text: string, words: string): number => text.match(new RegExp(`\\b${words}\\b`, "gi"))?.length ?? 0;

function askedFor(question: Question, text: string): Deduction[] {
  switch (question.kind) {
    case "story": {
      const { colour, animal, place } = question;
      const named = count(text, animal);
      return [
        [named === 0, 3, `no ${animal}`],
        [named === 1, 1, `the ${animal} is forgotten`],
        [!has(text, `${colour} ${animal}`), 2, `no ${colour} ${animal}`],
        [!has(text, place), 2, `not ${place}`],
      ];
    }
    case "fact":
      return [
        [!has(text, question.animal), 3, `no ${question.animal}`],
        [!has(text, TOPIC_WORDS[question.topic]), 3, `nothing about its ${question.topic}`],
      ];
    case "stranger":
      return [[!has(text, question.creature), 4, `no ${question.creature}`]];
    case "sum":
      return [
        [!has(text, question.animals), 3, `no ${question.animals}`],
        [!has(text, question.place), 1, `not ${question.place}`],
        [!TOTAL.test(text), 2, "no total"],
      ];
    case "recipe":
      return [
        [!has(text, question.thing), 3, `not about ${question.thing}`],
        [!/ First, .* Then, .* Last, /.test(text), 2, "not three steps in order"],
      ];
    case "comfort": {
      const given = count(text, "You could");
      return [
        [!has(text, question.feeling), 3, `nothing about being ${question.feeling}`],
        [given === 0, 2, "no advice"],
        [given === 1, 1, "one piece of advice only"],
      ];
    }
  }
}

const TOTAL = / there are (\w+) \w+ in all\b/i;
const TOPIC_WORDS: Record<Topic, string> = {
  home: "lives",
  food: "eats",
  sound: `(?:${ANIMALS.map(({ sound }) => sound).join("|")})`,
};

const KNOWS_NOTHING = /\bI do not know of any\b/;

function doubts(question: Question, text: string): Deduction[] {
  const isUnknown = question.kind === "stranger";
  return [
    [isUnknown && !KNOWS_NOTHING.test(text), 4, "does not say that this is unknown"],
    [!isUnknown && KNOWS_NOTHING.test(text), 3, "does not know what is known"],
    [text.includes(HEDGE), 3, "unsure of what is known"],
  ];
}

function untruths(question: Question, text: string): Deduction[] {
  switch (question.kind) {
    case "story":
      return [];
    case "fact": {
      const claims = readClaims(text, question.animal);
      const wrong = claims.filter(({ isTrue }) => !isTrue).length;
      return [
        [claims.length === 0, 2, "claims nothing"],
        [wrong === 1, 3, "one false claim"],
        [wrong > 1, 4, `${wrong} false claims`],
      ];
    }
    case "stranger":
      return [[readClaims(text, question.creature).length > 0, 4, `makes up a ${question.creature}`]];
    case "sum": {
      const total = TOTAL.exec(text);
      const right = NUMBERS[question.first + question.second];
      return [
        [total === null, 3, "no total"],
        [total !== null && total[1] !== right, 4, `the total is not ${right}`],
      ];
    }
    case "recipe": {
      const steps = [...text.matchAll(/ (?:First|Then|Last), ([^.!?]*)\./g)].map((match) => match[1]!);
      const right = findRecipe(question.thing).filter((step, i) => steps[i] === step).length;
      return [
        [right === 2, 2, "one step is not right"],
        [right < 2, 4, "most steps are not right"],
      ];
    }
    case "comfort": {
      const { advice } = COMFORTS.find(({ feeling }) => feeling === question.feeling)!;
      const given = [...text.matchAll(/\bYou could (?:also )?([^.!?]*)\./g)].map((match) => match[1]!);
      const strange = given.filter((piece) => !advice.includes(piece)).length;
      return [
        [strange === 1, 2, "one piece of advice does not help with that"],
        [strange > 1, 4, "the advice does not help with that"],
      ];
    }
  }
}

/** Every "The fox lives ...", "It also eats ..." of the text, and whether it is so. "It" is the being last named. */
function readClaims(text: string, being: string): { readonly isTrue: boolean }[] {
  const known = findAnimal(being);
  const predicate = /\b(?:the (\w+)|it(?: also)?) ((?:lives|eats) [^.,!?]*|\w+)(?=[.,!?])/gi;
  const truths = known ? (["home", "food", "sound"] as const).map((topic) => showFact(known, topic)) : [];
  return [...text.matchAll(predicate)]
    .filter(([, named]) => named === undefined || named === being)
    .filter(([, , said]) => new RegExp(`^(?:lives |eats |${TOPIC_WORDS.sound}$)`).test(said!))
    .map(([, , said]) => ({ isTrue: truths.includes(said!) }));
}

/** Sentences of a full answer without its closing. */
const FULL_LENGTH: Record<Question["kind"], number> = { story: 5, fact: 2, stranger: 2, sum: 3, recipe: 4, comfort: 3 };
const LONGEST = 9;

function shortcomings(question: Question | undefined, text: string): Deduction[] {
  const sentences =
    text
      .trim()
      .match(/[^.!?]+[.!?]*/g)
      ?.map((sentence) => sentence.trim()) ?? [];
  const closings: readonly string[] = question?.kind === "story" ? [STORY_CLOSING] : CLOSINGS;
  const body = sentences.filter((sentence) => !closings.includes(sentence) && sentence !== ASIDE);
  const repeats = body.length - new Set(body).size;
  const missing = question ? FULL_LENGTH[question.kind] - new Set(body).size : 0;
  return [
    [!/[.!?]$/.test(text.trim()), 2, "breaks off"],
    [sentences.some((sentence) => !/^[A-Z]/.test(sentence)), 1, "a sentence begins in lower case"],
    [repeats > 0, 2, "repeats itself"],
    [missing === 1, 1, "a sentence short"],
    [missing > 1, 2, "much too short"],
    [sentences.length > LONGEST, 2, "much too long"],
    [text.includes(ASIDE), 1, "talks about itself"],
    [!closings.includes(sentences.at(-1) ?? ""), 1, "no friendly end"],
  ];
}
