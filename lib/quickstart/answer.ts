import type { Random } from "../base/random.js";
import type { Question, Topic } from "./question.js";
import { ANIMALS, type Animal, COMFORTS, findAnimal, NUMBERS, RECIPES, TREASURES } from "./valley.js";

/** An answer in sentences: what was asked for first, a friendly end last. */
export interface Answer {
  readonly body: readonly string[];
  readonly closing: string;
}

/** The opening of a helpful end; the judge looks for these. */
export const CLOSINGS = ["I hope this helps!", "Ask me again any time!", "Have a lovely day!"] as const;
export const STORY_CLOSING = "The end.";

/** A right and full answer, as far as the valley's tables know. The wording is drawn. */
export function composeAnswer(question: Question, random: Random): Answer {
  const closing = question.kind === "story" ? STORY_CLOSING : pick(CLOSINGS, random);
  return { body: composeBody(question, random), closing };
}

function composeBody(question: Question, random: Random): string[] {
  switch (question.kind) {
    case "story":
      return composeStory(question.colour, findAnimal(question.animal)!, question.place, random);
    case "fact": {
      const animal = findAnimal(question.animal)!;
      const other = pick(OTHER_TOPICS[question.topic], random);
      return [`The ${animal.name} ${showFact(animal, question.topic)}.`, `It also ${showFact(animal, other)}.`];
    }
    case "stranger": {
      const asked = { home: "where it lives", food: "what it eats", sound: "how it sounds" }[question.topic];
      const [one, two] = twoAnimals(random);
      return [
        `I do not know of any ${question.creature} in the valley, so I cannot say ${asked}.`,
        `You can ask me about the ${one.name} or the ${two.name}.`,
      ];
    }
    case "sum": {
      const [first, second] = [NUMBERS[question.first]!, NUMBERS[question.second]!];
      const total = NUMBERS[question.first + question.second]!;
      return [
        `First there are ${first} ${question.animals} ${question.place}, and then ${second} more.`,
        `${capitalise(first)} and ${second} make ${total}.`,
        `So there are ${total} ${question.animals} in all.`,
      ];
    }
    case "recipe": {
      const [first, second, third] = findRecipe(question.thing);
      return [`Here is how to make ${question.thing}.`, `First, ${first}.`, `Then, ${second}.`, `Last, ${third}.`];
    }
    case "comfort": {
      const [one, two] = COMFORTS.find(({ feeling }) => feeling === question.feeling)!.advice;
      return [`I am sorry that you feel ${question.feeling}.`, `You could ${one}.`, `You could also ${two}.`];
    }
  }
}

const OTHER_TOPICS: Record<Topic, readonly Topic[]> = {
  home: ["food", "sound"],
  food: ["home", "sound"],
  sound: ["home", "food"],
};

/** The predicate of a sentence about the animal: "lives in the dark cave", "eats honey", "growls". */
export function showFact(animal: Animal, topic: Topic): string {
  return { home: `lives ${animal.home}`, food: `eats ${animal.food}`, sound: animal.sound }[topic];
}

/** Five sentences: a beginning with colour, animal and place, a treasure, a friend, what became of it, and a mood. */
export function composeStory(colour: string, hero: Animal, place: string, random: Random): string[] {
  const { name } = hero;
  const others = ANIMALS.filter((animal) => animal !== hero);
  const friend = pick(others, random).name;
  const treasure = pick(TREASURES, random);
  const found = treasure.replace(/^a /, "the ");
  return [
    pick(
      [
        `Once there was a ${colour} ${name} ${place}.`,
        `One morning a ${colour} ${name} sat ${place}.`,
        `Long ago a ${colour} ${name} played ${place}.`,
      ],
      random,
    ),
    pick(
      [
        `The ${name} found ${treasure} and did not know whose it was.`,
        `There the ${name} saw ${treasure} under a leaf.`,
        `All at once the ${name} stepped on ${treasure}.`,
      ],
      random,
    ),
    pick(
      [
        `It asked the ${friend} for help, and they looked at it for a long time.`,
        `It showed ${found} to the ${friend}, who was very surprised.`,
        `The ${friend} came along and said that ${found} was a gift.`,
      ],
      random,
    ),
    pick(
      [
        `Then they gave ${found} to a child, who was glad to have it.`,
        `Together they took ${found} home and put it on a shelf.`,
        `They shared ${found} and played until the sun went down.`,
      ],
      random,
    ),
    pick(
      [
        `That night the ${name} slept well.`,
        `The ${name} and the ${friend} were friends from then on.`,
        `The ${name} was happy all day.`,
      ],
      random,
    ),
  ];
}

export function findRecipe(thing: string): readonly [string, string, string] {
  return RECIPES.find((recipe) => recipe.thing === thing)!.steps;
}

export function twoAnimals(random: Random): [Animal, Animal] {
  const first = random.below(ANIMALS.length);
  const second = (first + 1 + random.below(ANIMALS.length - 1)) % ANIMALS.length;
  return [ANIMALS[first]!, ANIMALS[second]!];
}

export function pick<T>(list: readonly T[], random: Random): T {
  return list[random.below(list.length)]!;
}

export const capitalise = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
