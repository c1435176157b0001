import type { Random } from "../base/random.js";
import { type Answer, composeAnswer, pick, showFact } from "./answer.js";
import { drawQuestion, type Question, readQuestion } from "./question.js";
import { ANIMALS, COMFORTS, NUMBERS, RECIPES } from "./valley.js";

/** Answers prompts by rules. */
export interface Writer {
  readonly name: string;
  write(prompt: string, random: Random): string;
}

/** What can be wrong with an answer. */
export const FLAWS = ["astray", "wrong", "unsure", "brief", "repeated", "torn", "aside", "curt"] as const;
export type Flaw = (typeof FLAWS)[number];

/** How often a writer's answers have each flaw, 0 to 1. */
export type FlawRates = Readonly<Record<Flaw, number>>;

export const ASIDE = "I am only a scribe and have no opinions.";
export const HEDGE = ", but I am not sure";

/** Whose dialogues dSFT learns from: mostly right, but often curt, hedging or long-winded. */
export const TEACHER_RATES: FlawRates = {
  astray: 0.12,
  wrong: 0.12,
  unsure: 0.25,
  brief: 0.2,
  repeated: 0.15,
  torn: 0.1,
  aside: 0.25,
  curt: 0.6,
};

/** Four writers of different skill, whose answers the judge compares. */
export const WRITERS: readonly Writer[] = [
  ruleWriter("sage", scaleRates(TEACHER_RATES, 0.15)),
  ruleWriter("scribe", scaleRates(TEACHER_RATES, 0.7)),
  ruleWriter("pupil", scaleRates(TEACHER_RATES, 1.3)),
  ruleWriter("parrot", { ...scaleRates(TEACHER_RATES, 1.6), repeated: 0.5, astray: 0.4 }),
];

export const TEACHER: Writer = ruleWriter("teacher", TEACHER_RATES);

/** A writer that starts from the right answer and spoils it at the given rates. It only knows prompts of this world. */
export function ruleWriter(name: string, rates: FlawRates): Writer {
  return {
    name,
    write(prompt, random) {
      const question = readQuestion(prompt);
      if (!question) return "I do not understand the question.";
      const flaws = FLAWS.filter((flaw) => random.next() < rates[flaw]);
      return writeAnswer(question, new Set(flaws), random);
    },
  };
}

function scaleRates(rates: FlawRates, factor: number): FlawRates {
  const scaled = FLAWS.map((flaw) => [flaw, Math.min(1, rates[flaw] * factor)]);
  return Object.fromEntries(scaled) as FlawRates;
}

/** The right answer with the given flaws in it, as far as they apply to the question. */
export function writeAnswer(question: Question, flaws: ReadonlySet<Flaw>, random: Random): string {
  const asked = flaws.has("astray") ? misread(question, random) : question;
  let { body, closing }: Answer = composeAnswer(asked, random);
  if (flaws.has("wrong")) body = falsify(asked, body, random);
  if (flaws.has("unsure")) body = hedge(asked, body);
  if (flaws.has("brief")) body = body.slice(0, Math.max(1, body.length - 2));
  if (flaws.has("repeated")) {
    const twice = random.below(body.length);
    body = [...body.slice(0, twice + 1), ...body.slice(twice)];
  }
  if (flaws.has("aside")) body = [...body, ASIDE];
  if (flaws.has("torn")) return tear(body, random);
  return (flaws.has("curt") ? body : [...body, closing]).join(" ");
}

/** Another question of the same kind; of a story, one word is exchanged. */
function misread(question: Question, random: Random): Question {
  const slot = pick(["colour", "animal", "place"] as const, random);
  for (;;) {
    const other = drawQuestion(random);
    if (other.kind !== question.kind) continue;
    const misread = question.kind === "story" && other.kind === "story" ? { ...question, [slot]: other[slot] } : other;
    if (JSON.stringify(misread) !== JSON.stringify(question)) return misread;
  }
}

/** Makes the answer say something that is not so. `body` answers `question`. */
function falsify(question: Question, body: readonly string[], random: Random): string[] {
  const [first, ...rest] = body as [string, ...string[]];
  switch (question.kind) {
    case "story": {
      const other = otherThan(ANIMALS, question.animal, random);
      return [first, ...rest.map((sentence) => sentence.replaceAll(` ${question.animal} `, ` ${other.name} `))];
    }
    case "fact": {
      const other = otherThan(ANIMALS, question.animal, random);
      return [`The ${question.animal} ${showFact(other, question.topic)}.`, ...rest];
    }
    case "stranger":
      return [`The ${question.creature} ${showFact(pick(ANIMALS, random), question.topic)}.`];
    case "sum": {
      const total = question.first + question.second;
      const wrong = total + pick(total < 10 ? [-1, 1] : [-1, -2], random);
      return [first, rest[0]!, `So there are ${NUMBERS[wrong]} ${question.animals} in all.`];
    }
    case "recipe": {
      const step = 1 + random.below(3);
      const strange = otherThan(RECIPES, question.thing, random).steps[step - 1]!;
      return body.map((sentence, i) => (i === step ? `${sentence.split(",")[0]}, ${strange}.` : sentence));
    }
    case "comfort": {
      const strange = otherThan(COMFORTS, question.feeling, random).advice;
      return [first, rest[0]!, `You could also ${pick(strange, random)}.`];
    }
  }
}

function otherThan<T extends object>(list: readonly T[], name: string, random: Random): T {
  return pick(
    list.filter((entry) => !Object.values(entry).includes(name)),
    random,
  );
}

/** Doubts what is certain. Stories, strangers and comfort hold nothing to doubt. */
function hedge(question: Question, body: readonly string[]): string[] {
  if (question.kind !== "fact" && question.kind !== "sum" && question.kind !== "recipe") return [...body];
  return body.map((sentence, i) => (i === 0 ? sentence.replace(/\.$/, `${HEDGE}.`) : sentence));
}

/** Breaks off within the last sentence. */
function tear(body: readonly string[], random: Random): string {
  const words = body.at(-1)!.split(" ");
  const kept = 1 + random.below(Math.max(1, words.length - 2));
  return [...body.slice(0, -1), words.slice(0, kept).join(" ")].join(" ");
}
