import { expect, test } from "vitest";
import type { SourceRow } from "../../lib/data/source.js";
import { type BinarizeOptions, binarize, type PairRow } from "../../lib/feedback/binarize.js";
import { readJsonLines, sharedData } from "../shared_data.js";
import { collect, type Draft, fair, good, poor, scoredRow as row } from "./scored_rows.js";

async function pairsOf(rows: SourceRow[], options?: BinarizeOptions) {
  const binarized = binarize(rows, options);
  return { pairs: await collect(binarized), report: binarized.report };
}

const models = (pairs: PairRow[]) => pairs.map((pair) => `${pair.chosen_model}>${pair.rejected_model}`);

test("mean: N/A does not count, the highest mean is chosen, the row is the released data set's", async () => {
  const { pairs, report } = await pairsOf([row([fair, good])]);
  expect(pairs).toEqual([
    {
      prompt: "Say hello.",
      prompt_id: "p1",
      chosen: [
        { role: "user", content: "Say hello." },
        { role: "assistant", content: "A" },
      ],
      rejected: [
        { role: "user", content: "Say hello." },
        { role: "assistant", content: "B" },
      ],
      messages: [
        { role: "user", content: "Say hello." },
        { role: "assistant", content: "A" },
      ],
      score_chosen: 4.5,
      score_rejected: 4,
      chosen_model: "a",
      rejected_model: "b",
      source: "evol_instruct",
    },
  ]);
  expect(report).toMatchObject({ rule: "mean", seed: 0, rows: 1, pairs: 1 });
});

test("mean: the rejected answer is any strictly lower one, about equally often", async () => {
  const rows = Array.from({ length: 300 }, (_, i) => row([poor, good, fair], { instruction: `Say ${i}.` }));
  const { pairs } = await pairsOf(rows);
  const worst = models(pairs).filter((pair) => pair === "a>c").length;
  expect(models(pairs).filter((pair) => pair === "a>b").length + worst).toBe(300);
  expect(worst).toBeGreaterThan(115);
  expect(worst).toBeLessThan(185);
});

test("mean: a completion that ties with the best is never rejected, and the first of the best is chosen", async () => {
  const twin = { ...good, model: "twin" };
  const rows = Array.from({ length: 40 }, (_, i) => row([poor, good, twin], { instruction: `Say ${i}.` }));
  expect(new Set(models((await pairsOf(rows)).pairs))).toEqual(new Set(["a>c"]));
});

test("overall goes by overall_score, also when it is text", async () => {
  const { pairs } = await pairsOf([row([good, { ...fair, overall: "9" }])], { rule: "overall" });
  expect(models(pairs)).toEqual(["b>a"]);
  expect(pairs[0]).toMatchObject({ score_chosen: 9, score_rejected: 3 });
});

test("overall: a 10 beside aspect ratings of at most 2 was a 1", async () => {
  const mistaken: Draft = { model: "m", ratings: { helpfulness: "1", truthfulness: "2" }, overall: 10 };
  const { pairs, report } = await pairsOf([row([good, mistaken])], { rule: "overall" });
  expect(models(pairs)).toEqual(["a>m"]);
  expect(pairs[0]?.score_rejected).toBe(1);
  expect(report.repairedScores).toBe(1);
});

test("best-worst takes the two ends of the means, or of overall_score where there are no means", async () => {
  const bare = [good, fair, poor].map(({ model, overall }) => ({ model, overall }));
  const { pairs } = await pairsOf([row([fair, poor, good]), row(bare)], { rule: "best-worst" });
  expect(models(pairs)).toEqual(["a>c", "b>a"]);
});

test("several reviews of one aspect count as their mean; annotations without ratings do not count", async () => {
  const fields = (Rating: number[]) => ({ rubric: "text", judge: Rating.map((value) => ({ Rating: value })) });
  const completions = [
    { model: "a", response: "A", annotations: { ...fields([4, 5, 4]), other: { preference: 1.2 } } },
    { model: "b", response: "B", annotations: fields([5, 4, 5]) },
  ];
  const { pairs } = await pairsOf([row([], { completions })]);
  expect(models(pairs)).toEqual(["b>a"]);
  expect(pairs[0]?.score_rejected).toBeCloseTo(13 / 3, 12);
});

test("rows that give no pair are counted by reason", async () => {
  const rows = [
    row([good, fair], { source: "truthful_qa" }),
    row([good, fair], { instruction: " " }),
    row([good, { ...fair, response: " \n" }]),
    row([good]),
    row([{ model: "a" }, { model: "b" }]),
    row([good, { model: "b", ratings: { honesty: "N/A" } }]),
    row([good, { ...good, model: "d" }]),
    row([good, { ...fair, response: "A" }]),
    row([good, fair, { ...poor, response: "" }, { model: "u" }]),
  ];
  const { pairs, report } = await pairsOf(rows);
  expect(models(pairs)).toEqual(["a>b"]);
  expect(report).toEqual({
    rule: "mean",
    seed: 0,
    rows: 9,
    pairs: 1,
    dropped: {
      truthfulQa: 1,
      source: 0,
      emptyPrompt: 1,
      emptyResponse: 1,
      fewerThanTwo: 1,
      noScores: 1,
      fewerThanTwoScored: 1,
      lowChosen: 0,
      allTied: 1,
      smallMargin: 0,
      sameResponse: 1,
    },
    emptyCompletions: 1,
    unscoredCompletions: 1,
    repairedScores: 0,
  });
});

test("TruthfulQA prompts are kept on request", async () => {
  const { pairs } = await pairsOf([row([good, fair], { source: "truthful_qa" })], { keepTruthfulQa: true });
  expect(pairs).toHaveLength(1);
});

test("other sources are dropped by name, however it is spelt", async () => {
  const rows = ["flan_v2_cot", "Flan-V2 CoT", "flan", null].map((source) => row([good, fair], { source }));
  const { pairs, report } = await pairsOf(rows, { dropSources: ["flan_v2_cot", "sharegpt"] });
  expect(pairs.map(({ source }) => source)).toEqual(["flan", null]);
  expect(report.dropped.source).toBe(2);
});

test("minMargin: the rejected answer is at least so far below, and the draw is among those", async () => {
  const rows = Array.from({ length: 40 }, (_, i) => row([poor, good, fair], { instruction: `Say ${i}.` }));
  expect(new Set(models((await pairsOf(rows, { minMargin: 0.6 })).pairs))).toEqual(new Set(["a>c"]));
  expect(new Set(models((await pairsOf(rows, { minMargin: 0.5 })).pairs))).toEqual(new Set(["a>b", "a>c"]));
  expect((await pairsOf(rows, { minMargin: 2.6 })).report).toMatchObject({ pairs: 0, dropped: { smallMargin: 40 } });
  const thirds = [12 / 3, 13 / 3].map((mean, i): Draft => ({ model: "xy"[i]!, ratings: { honesty: mean } }));
  expect((await pairsOf([row(thirds)], { minMargin: 1 / 3 })).pairs).toHaveLength(1);
});

test("minChosen: the better answer has at least this score", async () => {
  const rows = [row([fair, poor]), row([good, fair])];
  const { pairs, report } = await pairsOf(rows, { minChosen: 4.5 });
  expect(models(pairs)).toEqual(["a>b"]);
  expect(report.dropped.lowChosen).toBe(1);
});

test("a chat with a system message is carried through, and decides the draw", async () => {
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Hello." },
    { role: "user", content: "Say hello." },
  ];
  const [pair] = (await pairsOf([row([good, fair], { messages })])).pairs;
  expect(pair!.chosen).toEqual([...messages, { role: "assistant", content: "A" }]);
  expect(pair!.rejected).toEqual([...messages, { role: "assistant", content: "B" }]);
  expect(pair!.messages).toEqual(pair!.chosen);
  const answered = pairsOf([row([good, fair], { messages: pair!.chosen })]);
  await expect(answered).rejects.toThrow("feedback.jsonl:1: messages: the assistant's is the last");

  const systems = Array.from({ length: 64 }, (_, i) => [{ role: "system", content: `${i}` }, messages[3]]);
  const drawn = await pairsOf(systems.map((messages) => row([poor, good, fair], { messages })));
  expect(new Set(models(drawn.pairs)).size).toBe(2);
});

test("a row's choice depends on the seed and on nothing outside the row", async () => {
  const rows = Array.from({ length: 64 }, (_, i) => row([poor, good, fair], { instruction: `Say ${i}.` }, i));
  const whole = (await pairsOf(rows)).pairs;
  expect((await pairsOf(rows.slice(32))).pairs).toEqual(whole.slice(32));
  expect((await pairsOf(rows.toReversed())).pairs.toReversed()).toEqual(whole);
  expect((await pairsOf(rows, { seed: 1 })).pairs).not.toEqual(whole);
});

test("a missing prompt_id is the prompt's SHA-256", async () => {
  const { pairs } = await pairsOf([row([good, fair], { prompt_id: undefined })]);
  expect(pairs[0]?.prompt_id).toMatch(/^c8e2c1437abb87b6/);
});

test.each([
  [{ instruction: 3 }, "feedback.jsonl:8: instruction: 3, expected a string"],
  [{ completions: "none" }, 'feedback.jsonl:8: completions: "none", expected a list'],
  [{ completions: [{ model: "a" }] }, "feedback.jsonl:8: completions[0].response: missing, expected a string"],
  [
    { completions: [{ response: "A", annotations: { honesty: { Rating: "good" } } }] },
    'feedback.jsonl:8: completions[0].annotations.honesty.Rating: "good", expected a number or "N/A"',
  ],
  [
    { completions: [{ response: "A", overall_score: {} }] },
    'feedback.jsonl:8: completions[0].overall_score: {}, expected a number or "N/A"',
  ],
])("a row of another shape is an error with its place: %j", async (fields, message) => {
  await expect(pairsOf([row([], fields, 7)])).rejects.toThrow(expect.objectContaining({ code: "ERR_DATA", message }));
});

test("options that cannot be are errors that say what can", () => {
  expect(() => binarize([], { rule: "best" as "mean" })).toThrow(
    'rule: "best", expected one of mean, overall, best-worst',
  );
  expect(() => binarize([], { seed: -1 })).toThrow("seed: -1, expected a whole number >= 0");
  expect(() => binarize([], { minMargin: -1 })).toThrow("minMargin: -1, expected a number >= 0");
  expect(() => binarize([], { minChosen: Number.NaN })).toThrow("minChosen: NaN, expected a number");
});

const feedbackFile = sharedData("preferences/feedback_raw_test.jsonl");

test.skipIf(feedbackFile === undefined)(
  "real feedback: every row is a pair or a counted drop, and scores agree",
  async () => {
    const rows = readJsonLines<Record<string, unknown>>(feedbackFile!).map((fields, index): SourceRow => {
      return { source: feedbackFile!, index, fields };
    });

    const overall = await pairsOf(rows, { rule: "overall" });
    expect(overall.report).toMatchObject({ rows: 420 });
    expect(overall.report.pairs).toBeGreaterThan(400);
    for (const pair of overall.pairs) expect(pair.score_chosen).toBeGreaterThan(pair.score_rejected);

    const mean = await pairsOf(rows, { rule: "mean" });
    const dropped = Object.values(mean.report.dropped).reduce((sum, count) => sum + count, 0);
    expect(mean.report.pairs + dropped).toBe(420);
    expect(mean.report.dropped.noScores).toBe(327); // those with a pairwise preference only
  },
);
