import type { Random } from "../base/random.js";
import { ANIMALS, COLOURS, COMFORTS, LARGEST_ADDEND, NUMBERS, PLACES, RECIPES, STRANGERS } from "./valley.js";

export const TOPICS = ["home", "food", "sound"] as const;
export type Topic = (typeof TOPICS)[number];

/** What a prompt asks for. Words as in the valley's tables; `first` and `second` are numbers. */
export type Question =
  | { readonly kind: "story"; readonly colour: string; readonly animal: string; readonly place: string }
  | { readonly kind: "fact"; readonly topic: Topic; readonly animal: string }
  | { readonly kind: "stranger"; readonly topic: Topic; readonly creature: string }
  | {
      readonly kind: "sum";
      readonly animals: string;
      readonly place: string;
      readonly first: number;
      readonly second: number;
    }
  | { readonly kind: "recipe"; readonly thing: string }
  | { readonly kind: "comfort"; readonly feeling: string };

export type QuestionKind = Question["kind"];

const OPENINGS = ["", "Hello. ", "Good morning! ", "I have a question. "];

const WORDINGS = {
  story: [
    "Tell me a story about a {colour} {animal} {place}.",
    "Please write a short story about a {colour} {animal} {place}.",
    "Can you tell a story of a {colour} {animal} {place}?",
    "I would like to read about a {colour} {animal} {place}.",
  ],
  home: ["Where does the {being} live?", "Where can I find the {being}?", "Please tell me where the {being} lives."],
  food: ["What does the {being} eat?", "What can I feed the {being}?", "Please tell me what the {being} eats."],
  sound: ["What sound does the {being} make?", "How does the {being} sound?", "Please tell me how the {being} sounds."],
  sum: [
    "There are {first} {animals} {place} and {second} more come. How many {animals} are there?",
    "I saw {first} {animals} {place} and then {second} more. How many {animals} did I see?",
    "If {first} {animals} sit {place} and {second} more join them, how many {animals} is that?",
  ],
  recipe: [
    "How do I make {thing}?",
    "Please tell me how to make {thing}.",
    "I want to make {thing}. What should I do?",
  ],
  comfort: ["I am {feeling}. What can I do?", "Today I feel {feeling}.", "What helps when I am {feeling}?"],
} as const;

/** A question of random kind; stories are the most frequent. */
export function drawQuestion(random: Random): Question {
  const dice = random.below(20);
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)]!;
  if (dice < 7) return { kind: "story", colour: pick(COLOURS), animal: pick(ANIMALS).name, place: pick(PLACES) };
  if (dice < 11) return { kind: "fact", topic: pick(TOPICS), animal: pick(ANIMALS).name };
  if (dice < 13) return { kind: "stranger", topic: pick(TOPICS), creature: pick(STRANGERS) };
  if (dice < 16) {
    const [first, second] = drawAddends(random);
    return { kind: "sum", animals: pick(ANIMALS).plural, place: pick(PLACES), first, second };
  }
  if (dice < 18) return { kind: "recipe", thing: pick(RECIPES).thing };
  return { kind: "comfort", feeling: pick(COMFORTS).feeling };
}

/** Two or more come first, so that they are animals and not one animal. */
export function drawAddends(random: Random): [number, number] {
  return [2 + random.below(LARGEST_ADDEND - 1), 1 + random.below(LARGEST_ADDEND)];
}

/** The prompt, in one of several wordings, some with a greeting before it. */
export function askQuestion(question: Question, random: Random): string {
  const wordings = WORDINGS["topic" in question ? question.topic : question.kind];
  const opening = OPENINGS[random.below(OPENINGS.length)]!;
  const slots = questionSlots(question);
  return opening + wordings[random.below(wordings.length)]!.replace(/\{(\w+)\}/g, (_, slot: string) => slots[slot]!);
}

function questionSlots(question: Question): Record<string, string> {
  switch (question.kind) {
    case "story":
      return { colour: question.colour, animal: question.animal, place: question.place };
    case "fact":
      return { being: question.animal };
    case "stranger":
      return { being: question.creature };
    case "sum":
      return {
        animals: question.animals,
        place: question.place,
        first: NUMBERS[question.first]!,
        second: NUMBERS[question.second]!,
      };
    case "recipe":
      return { thing: question.thing };
    case "comfort":
      return { feeling: question.feeling };
  }
}

const SLOT_WORDS: Record<string, readonly string[]> = {
  colour: COLOURS,
  animal: ANIMALS.map(({ name }) => name),
  animals: ANIMALS.map(({ plural }) => plural),
  being: [...ANIMALS.map(({ name }) => name), ...STRANGERS],
  place: PLACES,
  first: NUMBERS,
  second: NUMBERS,
  thing: RECIPES.map(({ thing }) => thing),
  feeling: COMFORTS.map(({ feeling }) => feeling),
};

/** One pattern per wording; a slot that occurs twice must hold the same word. */
const PATTERNS = Object.entries(WORDINGS).flatMap(([key, wordings]) =>
  wordings.map((wording) => {
    const seen = new Set<string>();
    const pattern = wording.replace(/[.?]/g, "\\$&").replace(/\{(\w+)\}/g, (_, slot: string) => {
      if (seen.has(slot)) return `\\k<${slot}>`;
      seen.add(slot);
      return `(?<${slot}>${SLOT_WORDS[slot]!.join("|")})`;
    });
    return { key, pattern: new RegExp(`^${pattern}$`) };
  }),
);

/** What the prompt asks for, or undefined when it is no prompt of this world. */
export function readQuestion(prompt: string): Question | undefined {
  const opening = OPENINGS.find((text) => text !== "" && prompt.startsWith(text)) ?? "";
  const body = prompt.slice(opening.length);
  for (const { key, pattern } of PATTERNS) {
    const slots = pattern.exec(body)?.groups;
    if (slots) return toQuestion(key as keyof typeof WORDINGS, slots as Record<string, string>);
  }
  return undefined;
}

function toQuestion(key: keyof typeof WORDINGS, slots: Record<string, string>): Question {
  const slot = (name: string): string => slots[name]!;
  const number = (name: string): number => (NUMBERS as readonly string[]).indexOf(slot(name));
  switch (key) {
    case "story":
      return { kind: "story", colour: slot("colour"), animal: slot("animal"), place: slot("place") };
    case "sum":
      return {
        kind: "sum",
        animals: slot("animals"),
        place: slot("place"),
        first: number("first"),
        second: number("second"),
      };
    case "recipe":
      return { kind: "recipe", thing: slot("thing") };
    case "comfort":
      return { kind: "comfort", feeling: slot("feeling") };
    default: {
      const being = slot("being");
      const isStranger = (STRANGERS as readonly string[]).includes(being);
      return isStranger
        ? { kind: "stranger", topic: key, creature: being }
        : { kind: "fact", topic: key, animal: being };
    }
  }
}
