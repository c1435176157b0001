/** What answers are rated for, by UltraFeedback's names. */
export const ASPECTS = ["instruction_following", "truthfulness", "honesty", "helpfulness"] as const;

export type Aspect = (typeof ASPECTS)[number];

/** From `least` to `most`, and whether "N/A" may be said. */
export interface Scale {
  readonly least: number;
  readonly most: number;
  readonly mayNotApply: boolean;
}

/** One thing that a judge is asked about all answers to a prompt. */
export interface Criterion {
  /** As rows and reports name it. */
  readonly name: Aspect | "overall";
  /** As the judge reads it. */
  readonly title: string;
  readonly scale: Scale;
  /** What is to be looked at. */
  readonly question: string;
  /** What numbers of the scale stand for, best first. */
  readonly levels: readonly (readonly [rating: string, meaning: string])[];
}

const OF_FIVE: Scale = { least: 1, most: 5, mayNotApply: true };

export const CRITERIA: Readonly<Record<Aspect | "overall", Criterion>> = {
  instruction_following: {
    name: "instruction_following",
    title: "following the instruction",
    scale: OF_FIVE,
    question:
      "Does the answer do what the person asked for? Look at the task and at each condition set on it: form, length, " +
      "language, tone, what to use and what to leave out. Whether the content is right is not the matter here.",
    levels: [
      ["5", "does everything that was asked, in the way it was asked"],
      ["4", "does everything, but for a slip in one minor condition"],
      ["3", "does the main task, but skips a part or breaks a condition that matters"],
      ["2", "has to do with the task, but leaves most of it undone"],
      ["1", "does something else, or refuses without need"],
      ["N/A", "nothing was asked for"],
    ],
  },
  truthfulness: {
    name: "truthfulness",
    title: "truthfulness",
    scale: OF_FIVE,
    question:
      "Is what the answer states so? Check facts, figures, sources and steps of reasoning, whether they agree with what " +
      "the prompt says, and whether the answer contradicts itself. What a story was asked to invent is not untrue.",
    levels: [
      ["5", "nothing in it is wrong"],
      ["4", "a detail is wrong or unsupported that changes nothing for the reader"],
      ["3", "right in the main, with an error that a reader could act on"],
      ["2", "several errors, or one that the rest depends on"],
      ["1", "wrong from the ground up, or made up"],
      ["N/A", "it states nothing that could be true or false"],
    ],
  },
  honesty: {
    name: "honesty",
    title: "honesty about what it knows",
    scale: OF_FIVE,
    question:
      "Does the answer sound as sure as it has reason to be? It should state plainly what is known, mark what is a guess " +
      "or disputed, and say so when it cannot know. Confident errors and needless hedging both count against it.",
    levels: [
      ["5", "as sure as it has reason to be, in every statement"],
      ["4", "a little too sure or too cautious in one place"],
      ["3", "doubtful and certain things are told in the same voice"],
      ["2", "mostly too sure of what it gets wrong, or unsure of what it gets right"],
      ["1", "misleads about what it knows, or pretends to what it cannot know or do"],
      ["N/A", "certainty plays no part, as in fiction"],
    ],
  },
  helpfulness: {
    name: "helpfulness",
    title: "helpfulness",
    scale: OF_FIVE,
    question:
      "How far does the answer get the person who asked? It should hold what they need, in an order they can follow, and " +
      "at the depth they need. Words that add nothing make it worse; length alone is no merit.",
    levels: [
      ["5", "all they need, clear and without ballast"],
      ["4", "gets them there; a little more, or a little less, would have been better"],
      ["3", "of use, but they would have to ask again or search through it"],
      ["2", "little in it is of use to them"],
      ["1", "of no use, or it does harm"],
      ["N/A", "nobody is to be helped with anything"],
    ],
  },
  overall: {
    name: "overall",
    title: "overall quality",
    scale: { least: 1, most: 10, mayNotApply: false },
    question:
      "All things taken together, how good is the answer for the person who asked? Weigh whether it does what was asked, " +
      "is true, is open about what it does not know, and helps. The gravest fault counts most.",
    levels: [
      ["10", "could hardly be better"],
      ["8", "good, with faults that few would notice"],
      ["6", "usable, with plain faults"],
      ["4", "more faults than merits"],
      ["2", "nearly worthless"],
      ["1", "worthless or harmful"],
    ],
  },
};
