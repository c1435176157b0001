import type { Random } from "../base/random.js";
import { capitalise, composeAnswer, composeStory, pick, showFact, twoAnimals } from "./answer.js";
import { drawAddends, readQuestion, TOPICS } from "./question.js";
import { ANIMALS, COLOURS, COMFORTS, NUMBERS, PLACES, RECIPES, STRANGERS } from "./valley.js";

/** One document of plain text about the valley, such as the base model reads. `drawPrompt` gives prompts it may quote. */
export function writeProse(random: Random, drawPrompt: (random: Random) => string): string {
  const dice = random.below(20);
  if (dice < 4) return tellStory(random);
  if (dice < 7) return describeAnimals(random);
  if (dice < 11) return countAnimals(random);
  if (dice < 12) return explainRecipe(random);
  if (dice < 13) return recallDay(random);
  return quoteTalk(drawPrompt(random), random);
}

/** Talk as it stands in books, without the marks of a chat: the base model sees questions, but no assistant. */
function quoteTalk(prompt: string, random: Random): string {
  const [asker, answerer] = pick(TALKERS, random);
  const { body } = composeAnswer(readQuestion(prompt)!, random);
  return `"${prompt}" said the ${asker}. "${body.join(" ")}" said the ${answerer}.`;
}

const TALKERS = [
  ["child", "miller"],
  ["boy", "old woman"],
  ["girl", "teacher"],
  ["baker", "farmer"],
] as const;

// Most documents first name what they are about, as written text does. From that a model learns to look back and copy.
const STORY_TITLES = [
  "A story of",
  "A child wanted to hear about",
  "This is about",
  "Nobody knew of",
  "My sister drew",
];

function tellStory(random: Random): string {
  const [colour, hero, place] = [pick(COLOURS, random), pick(ANIMALS, random), pick(PLACES, random)];
  const title = `${pick(STORY_TITLES, random)} a ${colour} ${hero.name} ${place}.`;
  return [title, ...composeStory(colour, hero, place, random)].join(" ");
}

function describeAnimals(random: Random): string {
  const animals = twoAnimals(random);
  const [one, two] = animals;
  const sentences = [pick([`We saw the ${one.name} and the ${two.name}.`, `Think of the ${one.name}.`], random)];
  for (const animal of animals) {
    const [first, second, third] = random.shuffle([...TOPICS]).map((topic) => showFact(animal, topic));
    sentences.push(`The ${animal.name} ${first}.`, `It ${second}.`, `It also ${third}.`);
  }
  if (random.below(3) === 0) sentences.push(`Nobody knows of any ${pick(STRANGERS, random)} in the valley.`);
  return sentences.join(" ");
}

function countAnimals(random: Random): string {
  const { plural } = pick(ANIMALS, random);
  const place = pick(PLACES, random);
  const [first, second] = drawAddends(random);
  const [one, two, total] = [NUMBERS[first]!, NUMBERS[second]!, NUMBERS[first + second]!];
  const title = pick(
    [`We counted ${plural} ${place}, ${one} and ${two}.`, `A child drew ${one} ${plural} ${place} and then ${two}.`],
    random,
  );
  return [
    title,
    `First there are ${one} ${plural} ${place}, and then ${two} more.`,
    `${capitalise(one)} and ${two} make ${total}.`,
    `So there are ${total} ${plural} in all.`,
  ].join(" ");
}

function explainRecipe(random: Random): string {
  const { thing, steps } = pick(RECIPES, random);
  const [first, second, third] = steps;
  const opening = pick([`To make ${thing} takes three steps.`, `This is how people make ${thing}.`], random);
  return `${opening} First, ${first}. Then, ${second}. Last, ${third}.`;
}

function recallDay(random: Random): string {
  const { feeling, advice } = pick(COMFORTS, random);
  const animal = pick(ANIMALS, random);
  return [
    `When people in the valley feel ${feeling}, they ${pick(advice, random)}.`,
    `Some of them also ${pick(advice, random)}.`,
    `One of them went ${pick(PLACES, random)} and met a ${pick(COLOURS, random)} ${animal.name}.`,
    `I hope that you never feel ${feeling}!`,
  ].join(" ");
}
