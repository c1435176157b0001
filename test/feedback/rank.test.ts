import { expect, test } from "vitest";
import { rankCompletions } from "../../lib/feedback/rank.js";
import { collect, fair, good, poor, scoredRow as row } from "./scored_rows.js";

test("a row holds the prompt once and every answer, best first", async () => {
  const ranked = rankCompletions([row([poor, good, fair])]);
  expect(await collect(ranked)).toEqual([
    {
      prompt: "Say hello.",
      prompt_id: "p1",
      messages: [{ role: "user", content: "Say hello." }],
      responses: [
        { messages: [{ role: "assistant", content: "A" }], score: 4.5, model: "a" },
        { messages: [{ role: "assistant", content: "B" }], score: 4, model: "b" },
        { messages: [{ role: "assistant", content: "C" }], score: 2, model: "c" },
      ],
      source: "evol_instruct",
    },
  ]);
  expect(ranked.report).toMatchObject({ rule: "mean", rows: 1, rankings: 1, repeatedCompletions: 0 });
});

test("equals stay in the row's order, a text that a better answer has is left out, and so are unscored answers", async () => {
  const completions = [
    fair,
    { ...fair, model: "twin", response: "Twin" },
    { ...poor, response: "B" },
    { model: "u" },
    good,
  ];
  const ranked = rankCompletions([row(completions)]);
  const [ranking] = await collect(ranked);
  expect(ranking!.responses.map(({ model }) => model)).toEqual(["a", "b", "twin"]);
  expect(ranked.report).toMatchObject({ repeatedCompletions: 1, unscoredCompletions: 1 });
});

test("rows that give no pair give no ranking, by the same rules", async () => {
  const rows = [
    row([good, { ...good, model: "d" }]),
    row([good, fair], { source: "truthful_qa" }),
    row([good, fair]),
    row([fair, poor]),
  ];
  const ranked = rankCompletions(rows, { minMargin: 1 });
  expect((await collect(ranked)).map(({ responses }) => responses.map(({ model }) => model))).toEqual([["b", "c"]]);
  expect(ranked.report).toMatchObject({ rows: 4, rankings: 1, dropped: { allTied: 1, truthfulQa: 1, smallMargin: 1 } });
  const byOverall = rankCompletions([row([good, fair, poor])], { rule: "overall" });
  expect((await collect(byOverall))[0]!.responses.map(({ score }) => score)).toEqual([9, 5, 3]);
});
