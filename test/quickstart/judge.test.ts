import { expect, test } from "vitest";
import { Random } from "../../lib/base/random.js";
import { composeAnswer } from "../../lib/quickstart/answer.js";
import { judgeAnswer } from "../../lib/quickstart/judge.js";
import { askQuestion, drawQuestion } from "../../lib/quickstart/question.js";

const STORY = "Tell me a story about a red fox by the river.";
const RIGHT_STORY =
  "Once there was a red fox by the river. The fox found a lost key and did not know whose it was. " +
  "It asked the owl for help, and they looked at it for a long time. " +
  "Then they gave the lost key to a child, who was glad to have it. That night the fox slept well. The end.";

function rate(prompt: string, answer: string) {
  const { ratings, findings } = judgeAnswer(prompt, answer);
  const { instruction_following, honesty, truthfulness, helpfulness } = ratings;
  return { ratings: [instruction_following, honesty, truthfulness, helpfulness], findings };
}

test("every right and full answer is rated 5 in all aspects, and 10 overall", () => {
  const random = new Random(5);
  for (let i = 0; i < 500; i++) {
    const question = drawQuestion(random);
    const prompt = askQuestion(question, random);
    const { body, closing } = composeAnswer(question, random);
    const judgement = judgeAnswer(prompt, [...body, closing].join(" "));
    expect(judgement, prompt).toMatchObject({ mean: 5, overallScore: 10, findings: [] });
  }
});

// Ratings in the order instruction following, honesty, truthfulness, helpfulness.
test.each([
  [RIGHT_STORY, [5, "N/A", "N/A", 5], []],
  [RIGHT_STORY.replace("red fox", "fox"), [3, "N/A", "N/A", 5], ["no red fox"]],
  [RIGHT_STORY.replace("by the river", "at the market"), [3, "N/A", "N/A", 5], ["not by the river"]],
  [RIGHT_STORY.replaceAll("fox", "goat"), [1, "N/A", "N/A", 5], ["no fox", "no red fox"]],
  ["Once there was a red fox by the river. The end.", [4, "N/A", "N/A", 3], ["the fox is forgotten", "much too short"]],
  [RIGHT_STORY.replace(" The end.", ""), [5, "N/A", "N/A", 4], ["no friendly end"]],
  [RIGHT_STORY.replace(" well. The end.", ""), [5, "N/A", "N/A", 2], ["breaks off", "no friendly end"]],
  [
    RIGHT_STORY.replace("That night", "That night the fox slept well. That night"),
    [5, "N/A", "N/A", 3],
    ["repeats itself"],
  ],
])("story: %s", (answer, ratings, findings) => {
  expect(rate(STORY, answer)).toEqual({ ratings, findings });
});

test.each([
  ["The bear eats honey. It also growls. I hope this helps!", [5, 5, 5, 5], []],
  ["The bear eats corn. It also growls. I hope this helps!", [5, 5, 2, 5], ["one false claim"]],
  ["The bear eats corn. It also hoots. I hope this helps!", [5, 5, 1, 5], ["2 false claims"]],
  [
    "The bear eats honey, but I am not sure. It also growls. I hope this helps!",
    [5, 2, 5, 5],
    ["unsure of what is known"],
  ],
  ["The bear growls. It also lives in the dark cave. I hope this helps!", [2, 5, 5, 5], ["nothing about its food"]],
  [
    "The bear eats honey. It also growls. I am only a scribe and have no opinions. I hope this helps!",
    [5, 5, 5, 4],
    ["talks about itself"],
  ],
  [
    "",
    [1, 5, 3, 1],
    ["no bear", "nothing about its food", "claims nothing", "breaks off", "much too short", "no friendly end"],
  ],
])("fact: %s", (answer, ratings, findings) => {
  expect(rate("What does the bear eat?", answer)).toEqual({ ratings, findings });
});

test.each([
  [
    "I do not know of any robot in the valley, so I cannot say where it lives. You can ask me about the fox or the owl. Have a lovely day!",
    [5, 5, 5, 5],
    [],
  ],
  [
    "The robot lives in the tall oak. Have a lovely day!",
    [5, 1, 1, 4],
    ["does not say that this is unknown", "makes up a robot", "a sentence short"],
  ],
])("a stranger: %s", (answer, ratings, findings) => {
  expect(rate("Where does the robot live?", answer)).toEqual({ ratings, findings });
});

const SUM = "First there are two hens in the snow, and then three more. Two and three make five. ";

test.each([
  [`${SUM}So there are five hens in all. I hope this helps!`, [5, 5, 5, 5], []],
  [`${SUM}So there are six hens in all. I hope this helps!`, [5, 5, 1, 5], ["the total is not five"]],
  [`${SUM}I hope this helps!`, [3, 5, 2, 4], ["no total", "no total", "a sentence short"]],
])("sum: %s", (answer, ratings, findings) => {
  const prompt = "There are two hens in the snow and three more come. How many hens are there?";
  expect(rate(prompt, answer)).toEqual({ ratings, findings });
});

test.each([
  [
    "Here is how to make tea. First, boil some water. Then, add the dry leaves. Last, wait for three minutes. I hope this helps!",
    [5, 5, 5, 5],
    [],
  ],
  [
    "Here is how to make tea. First, boil some water. Then, fill the jars. Last, wait for three minutes. I hope this helps!",
    [5, 5, 3, 5],
    ["one step is not right"],
  ],
  [
    "Here is how to make tea. First, boil some water. I hope this helps!",
    [3, 5, 1, 3],
    ["not three steps in order", "most steps are not right", "much too short"],
  ],
])("recipe: %s", (answer, ratings, findings) => {
  expect(rate("How do I make tea?", answer)).toEqual({ ratings, findings });
});

test.each([
  [
    "I am sorry that you feel sad. You could talk to a friend. You could also take a slow walk. I hope this helps!",
    [5, "N/A", 5, 5],
    [],
  ],
  [
    "I am sorry that you feel sad. You could talk to a friend. You could also light a lamp. I hope this helps!",
    [5, "N/A", 3, 5],
    ["one piece of advice does not help with that"],
  ],
])("comfort: %s", (answer, ratings, findings) => {
  expect(rate("I am sad. What can I do?", answer)).toEqual({ ratings, findings });
});

test("a prompt of another world is rated for helpfulness only", () => {
  const { ratings, mean } = judgeAnswer("What is the capital of France?", "Paris.");
  expect(ratings).toEqual({ instruction_following: "N/A", honesty: "N/A", truthfulness: "N/A", helpfulness: 4 });
  expect(mean).toBe(4);
});
