import { expect, test } from "vitest";
import type { SourceRow } from "../../lib/data/source.js";
import { compareJudges } from "../../lib/feedback/compare_judges.js";
import { type Draft, scoredRow } from "./scored_rows.js";

const answer = (model: string, helpfulness: unknown, honesty: unknown, overall?: number): Draft => {
  return { model, ratings: { helpfulness, honesty }, ...(overall !== undefined && { overall }) };
};

async function* iterate(rows: SourceRow[]): AsyncGenerator<SourceRow> {
  yield* rows;
}

const compare = (a: SourceRow[], b: SourceRow[]) => compareJudges(iterate(a), iterate(b));

test("answers are matched by prompt, model and text, in any order", async () => {
  const a = [
    scoredRow([answer("x", "5", "4", 9), answer("y", "3", "N/A", 5), answer("z", "1", "2", 2)]),
    scoredRow([answer("x", "2", "2")], { prompt_id: "p2" }),
    scoredRow([answer("x", "2", "2")], { prompt_id: "p3" }),
  ];
  const b = [
    scoredRow([answer("x", "3", "2")], { prompt_id: "p2" }),
    scoredRow([
      answer("z", "2", "3", 3),
      answer("y", "3", "N/A", 6),
      answer("x", "4", "N/A", 8),
      { ...answer("x", "1", "1"), response: "other" },
    ]),
  ];
  const { prompts, answers, scores } = await compare(a, b);
  expect(prompts).toEqual({ both: 2, onlyA: 1, onlyB: 0 });
  expect(answers).toEqual({ both: 4, onlyA: 1, onlyB: 1 });
  expect(Object.keys(scores)).toEqual(["helpfulness", "honesty", "mean", "overall_score"]);
  expect(scores.helpfulness).toMatchObject({
    count: 4,
    exact: 1 / 4,
    means: [11 / 4, 3],
    preferences: { pairs: 3, same: 3, opposite: 0, oneTied: 0, bothTied: 0, agreement: 1 },
  });
  expect(scores.honesty).toMatchObject({ count: 2, bothNotApplicable: 1, oneNotApplicable: 1 });
  expect(scores.overall_score).toMatchObject({ count: 3, spearman: 1 });
});

test("preferences: same, opposite, tied by one, tied by both", async () => {
  const judged = (...ratings: number[]) => [
    scoredRow(ratings.map((rating, i) => ({ model: "abcd"[i]!, ratings: { honesty: rating } }))),
  ];
  // a-b opposite, a-c same, a-d one, b-c one, b-d same, c-d opposite
  const { scores } = await compare(judged(3, 2, 1, 3), judged(2, 3, 1, 4));
  expect(scores.honesty!.preferences).toEqual({
    ...{ pairs: 6, same: 4, opposite: 1, oneTied: 1, bothTied: 0, agreement: 4 / 5 },
  });
  const ties = (await compare(judged(2, 2), judged(4, 4))).scores.mean!.preferences;
  expect(ties).toMatchObject({ pairs: 1, bothTied: 1, agreement: null });
});

test("the same prompt in several rows, the same answer twice, and chats that end alike", async () => {
  const said = (text: string) => ({
    messages: [
      { role: "system", content: text },
      { role: "user", content: "Hi" },
    ],
  });
  const a = [
    scoredRow([answer("x", 1, 1)]),
    scoredRow([answer("x", 5, 5), answer("y", 3, 3)]),
    scoredRow([answer("x", 4, 4)], said("Be kind.")),
    scoredRow([answer("x", 2, 2)], said("Be brief.")),
  ];
  const b = [
    scoredRow([answer("x", 2, 2)], said("Be brief.")),
    scoredRow([answer("x", 1, 1), answer("y", 3, 3)]),
    scoredRow([answer("x", 5, 5)]),
  ];
  const { prompts, answers, scores } = await compare(a, b);
  expect([prompts, answers]).toEqual([
    { both: 2, onlyA: 1, onlyB: 0 },
    { both: 4, onlyA: 1, onlyB: 0 },
  ]);
  expect(scores.mean!.exact).toBe(1);
});
