import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Random } from "../../lib/base/random.js";
import { binarize, type PairRow } from "../../lib/feedback/binarize.js";
import { askQuestion, drawQuestion, readQuestion } from "../../lib/quickstart/question.js";
import { ANIMALS, RECIPES } from "../../lib/quickstart/valley.js";
import { collectFeedback, drawPrompts, splitOf, writeDialogues, writeTexts } from "../../lib/quickstart/world.js";
import { FLAWS, type Flaw, ruleWriter, WRITERS, writeAnswer } from "../../lib/quickstart/writer.js";
import { resolveChatTemplate } from "../../lib/text/chat_template.js";
import { Tokenizer } from "../../lib/text/tokenizer.js";

test("the valley's tables are unambiguous", () => {
  const words = ANIMALS.flatMap(({ home, food, sound }) => [home, food, sound]);
  expect(new Set(words).size).toBe(words.length);
  const steps = RECIPES.flatMap((recipe) => recipe.steps);
  expect(new Set(steps).size).toBe(steps.length);
});

test("every prompt is read back as the question it asks", () => {
  const random = new Random(1);
  for (let i = 0; i < 1000; i++) {
    const question = drawQuestion(random);
    const prompt = askQuestion(question, random);
    expect(readQuestion(prompt), prompt).toEqual(question);
  }
  expect(readQuestion("What does the bear drink?")).toBeUndefined();
  expect(readQuestion("There are two hens in the snow and three more come. How many pigs are there?")).toBeUndefined();
});

test("the same seed writes the same world, another seed another one", async () => {
  const world = async (seed: number) => ({
    texts: writeTexts(20, seed),
    dialogues: writeDialogues(20, seed, "train"),
    feedback: collectFeedback(drawPrompts(20, seed, "train"), seed),
  });
  expect(await world(3)).toEqual(await world(3));
  const [one, other] = [await world(3), await world(4)];
  for (const part of ["texts", "dialogues", "feedback"] as const) expect(one[part]).not.toEqual(other[part]);
});

test("more rows begin with the same rows", () => {
  expect(writeTexts(30, 0).slice(0, 10)).toEqual(writeTexts(10, 0));
  expect(drawPrompts(30, 0, "train").slice(0, 10)).toEqual(drawPrompts(10, 0, "train"));
});

test("no prompt of the test split is in a text, a dialogue or the feedback of training", () => {
  const held = drawPrompts(200, 0, "test");
  expect(held.every((prompt) => splitOf(prompt) === "test")).toBe(true);
  const asked = writeDialogues(500, 0, "train").flatMap(({ messages }) => messages.filter((m) => m.role === "user"));
  const seen = new Set([...asked.map((message) => message.content), ...drawPrompts(1000, 0, "train")]);
  expect(held.filter((prompt) => seen.has(prompt))).toEqual([]);
  const quoted = writeTexts(1000, 0).flatMap(({ text }) => text.match(/^"([^"]*)" said/)?.[1] ?? []);
  expect(quoted.length).toBeGreaterThan(100);
  expect(quoted.every((prompt) => splitOf(prompt) === "train")).toBe(true);
});

test("a quarter of the dialogues has a second exchange; roles alternate", () => {
  const roles = writeDialogues(8, 0, "train").map(({ messages }) => messages.map(({ role }) => role[0]).join(""));
  expect(roles).toEqual(["ua", "ua", "ua", "uaua", "ua", "ua", "ua", "uaua"]);
});

test("feedback is in UltraFeedback's shape and better writers score higher", async () => {
  const rows = collectFeedback(drawPrompts(300, 0, "train"), 0);
  expect(rows[0]).toMatchObject({ source: "quickstart", models: ["sage", "scribe", "pupil", "parrot"] });
  expect(Object.keys(rows[0]!.completions[0]!.annotations)).toEqual([
    "instruction_following",
    "honesty",
    "truthfulness",
    "helpfulness",
  ]);
  const means = WRITERS.map((_, w) => rows.reduce((sum, row) => sum + row.completions[w]!.overall_score, 0) / 300);
  expect(means).toEqual(means.toSorted((a, b) => b - a));

  const pairs: PairRow[] = [];
  const fields = rows.map((row, index) => ({ source: "feedback", index, fields: { ...row } }));
  for await (const pair of binarize(fields)) pairs.push(pair);
  expect(pairs.length).toBeGreaterThan(290);
});

test.each<[Flaw, string]>([
  ["astray", "The duck quacks. It also lives among the reeds. I hope this helps!"],
  ["wrong", "The bear eats hay. It also lives in the dark cave. Ask me again any time!"],
  ["unsure", "The bear eats honey, but I am not sure. It also lives in the dark cave. Ask me again any time!"],
  ["brief", "The bear eats honey. Ask me again any time!"],
  [
    "repeated",
    "The bear eats honey. It also lives in the dark cave. It also lives in the dark cave. Ask me again any time!",
  ],
  ["torn", "The bear eats honey. It also lives in the"],
  [
    "aside",
    "The bear eats honey. It also lives in the dark cave. I am only a scribe and have no opinions. Ask me again any time!",
  ],
  ["curt", "The bear eats honey. It also lives in the dark cave."],
])("an answer with the flaw %s", (flaw, answer) => {
  const question = { kind: "fact", topic: "food", animal: "bear" } as const;
  expect(writeAnswer(question, new Set([flaw]), new Random(2))).toBe(answer);
});

test("a writer has the flaws at its rates", async () => {
  const rates = Object.fromEntries(FLAWS.map((flaw) => [flaw, flaw === "curt" ? 0.3 : 0])) as Record<Flaw, number>;
  const writer = ruleWriter("curt", rates);
  const random = new Random(0);
  const answers = await Promise.all(Array.from({ length: 400 }, () => writer.write("Today I feel sad.", random)));
  const curt = answers.filter((answer) => !answer.endsWith("!")).length;
  expect(curt).toBeGreaterThan(90);
  expect(curt).toBeLessThan(150);
});

test("the shipped tokenizer knows the world's words and loses no text", async () => {
  const folder = fileURLToPath(new URL("../../assets/quickstart", import.meta.url));
  const tokenizer = await Tokenizer.load(folder);
  expect(tokenizer).toMatchObject({ vocabSize: 1024, bosId: 1, eosId: 2, padId: 2 });
  const texts = writeTexts(200, 9).map(({ text }) => text);
  let [numTokens, numWords] = [0, 0];
  for (const text of [
    ...texts,
    "\u00c4h \u{1f600}, na\u00efve  two spaces\n\nand <s>",
    "<|user|>\nHi</s>\n<|assistant|>\n",
  ]) {
    const ids = tokenizer.encode(text);
    expect(tokenizer.decode(ids)).toBe(text);
    numTokens += ids.length;
    numWords += text.split(/\s+|\b(?=[.,!?])/).length;
  }
  expect(numTokens / numWords).toBeLessThan(1.1);
  expect(tokenizer.encode("<|user|>\nHi</s>\n")[0]).toBe(4);
  expect([...tokenizer.encode("Hi", { addSpecialTokens: true })].at(0)).toBe(1);
});

test("the shipped tokenizer's chat template is Zephyr's", async () => {
  const tokenizer = await Tokenizer.load(fileURLToPath(new URL("../../assets/quickstart", import.meta.url)));
  const [own, zephyr] = [resolveChatTemplate(undefined, tokenizer), resolveChatTemplate("zephyr", tokenizer)];
  const messages = ["system", "user", "assistant", "user"].map((role, i) => ({ role, content: `Text ${i}.` }));
  for (const addGenerationPrompt of [true, false]) {
    expect(own.render(messages, { addGenerationPrompt })).toBe(zephyr.render(messages, { addGenerationPrompt }));
  }
});
