/**
 * The valley: everything there is to know in the quickstart's little world. Text about it is what the base model reads,
 * and an answer is true or false by these tables alone.
 */

export interface Animal {
  readonly name: string;
  readonly plural: string;
  readonly home: string;
  readonly food: string;
  readonly sound: string;
}

const animal = (name: string, plural: string, home: string, food: string, sound: string): Animal => {
  return { name, plural, home, food, sound };
};

/** No two animals share a home, a food or a sound. */
export const ANIMALS: readonly Animal[] = [
  animal("fox", "foxes", "in the hollow log", "berries", "yips"),
  animal("owl", "owls", "in the tall oak", "moths", "hoots"),
  animal("hen", "hens", "in the wooden coop", "corn", "clucks"),
  animal("frog", "frogs", "in the still pond", "flies", "croaks"),
  animal("bear", "bears", "in the dark cave", "honey", "growls"),
  animal("mouse", "mice", "under the kitchen floor", "cheese", "squeaks"),
  animal("duck", "ducks", "among the reeds", "snails", "quacks"),
  animal("goat", "goats", "on the steep hill", "thistles", "bleats"),
  animal("cat", "cats", "by the warm stove", "fish", "purrs"),
  animal("dog", "dogs", "behind the farm gate", "bones", "barks"),
  animal("crow", "crows", "in the church tower", "seeds", "caws"),
  animal("hare", "hares", "in the long grass", "clover", "thumps"),
  animal("horse", "horses", "in the big barn", "oats", "neighs"),
  animal("pig", "pigs", "in the muddy sty", "turnips", "grunts"),
  animal("bat", "bats", "under the church roof", "beetles", "chirps"),
  animal("lamb", "lambs", "in the stone fold", "hay", "baas"),
];

export const COLOURS = ["red", "blue", "green", "white", "black", "yellow", "brown", "grey"] as const;

/** Where a story can happen. */
export const PLACES = [
  "by the river",
  "at the market",
  "on the beach",
  "at the old mill",
  "in the snow",
  "on the bridge",
  "in the garden",
  "at the harbour",
] as const;

/** What a story can be about. */
export const TREASURES = [
  "a lost key",
  "a shiny coin",
  "a small boat",
  "a warm hat",
  "a broken kite",
  "a secret letter",
  "a silver bell",
  "a round stone",
] as const;

/** What people ask about and nobody in the valley has ever seen. */
export const STRANGERS = [
  "dragon",
  "robot",
  "giant",
  "mermaid",
  "tiger",
  "wizard",
  "pirate",
  "ghost",
  "camel",
  "unicorn",
] as const;

export interface Recipe {
  readonly thing: string;
  readonly steps: readonly [string, string, string];
}

/** No two recipes share a step. */
export const RECIPES: readonly Recipe[] = [
  { thing: "tea", steps: ["boil some water", "add the dry leaves", "wait for three minutes"] },
  { thing: "soup", steps: ["chop the carrots", "cook them in a pot", "add a little salt"] },
  { thing: "bread", steps: ["mix flour and water", "let the dough rest", "bake it in the oven"] },
  { thing: "jam", steps: ["wash the berries", "stir them with sugar", "fill the jars"] },
  { thing: "a kite", steps: ["cross two sticks", "tie on some paper", "add a long string"] },
  { thing: "a candle", steps: ["melt the wax", "dip the string in it", "let it cool down"] },
  { thing: "a raft", steps: ["find four logs", "tie them with rope", "push it into the water"] },
  { thing: "a basket", steps: ["cut some reeds", "weave them together", "add a strong handle"] },
  { thing: "a salad", steps: ["rinse the green leaves", "slice two apples", "pour on some oil"] },
  { thing: "a snowman", steps: ["roll two big balls", "put one on the other", "give it a carrot nose"] },
];

export interface Comfort {
  readonly feeling: string;
  readonly advice: readonly [string, string];
}

export const COMFORTS: readonly Comfort[] = [
  { feeling: "sad", advice: ["talk to a friend", "take a slow walk"] },
  { feeling: "tired", advice: ["lie down for a while", "go to bed early"] },
  { feeling: "cold", advice: ["put on a warm coat", "sit near the fire"] },
  { feeling: "hungry", advice: ["eat some warm bread", "pick a ripe apple"] },
  { feeling: "bored", advice: ["read a good book", "learn a new song"] },
  { feeling: "lonely", advice: ["visit a neighbour", "write to your family"] },
  { feeling: "afraid", advice: ["light a lamp", "think of a happy day"] },
  { feeling: "angry", advice: ["breathe slowly", "count to ten"] },
];

/** NUMBERS[n] is the word for n. */
export const NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"] as const;

/** The largest number of animals that come at a time. */
export const LARGEST_ADDEND = 5;

export const findAnimal = (name: string): Animal | undefined => {
  return ANIMALS.find((animal) => animal.name === name || animal.plural === name);
};
