import { expect, test } from "vitest";
import { AnswerError, BudgetError } from "../../lib/base/errors.js";
import { type Judge, NO_USAGE } from "../../lib/feedback/judge.js";
import { ruleJudge } from "../../lib/feedback/rule_judge.js";
import { askJudge, callKey, questionOf, withRatings } from "../../lib/feedback/score.js";
import { toScoredPrompt } from "../../lib/feedback/scored.js";
import { fair, good, poor, scoredRow } from "./scored_rows.js";

const drafts = [good, { ...fair, response: " " }, poor, { model: "d", response: "DDDD" }];
const rowAt = (index: number) => scoredRow(drafts, { instruction: `Say ${index}.` }, index);
const promptAt = (index: number) => toScoredPrompt(rowAt(index));
const call = (index: number, criterion: "honesty" | "helpfulness" | "overall") => {
  return { key: callKey(promptAt(index)), criterion };
};

/** Rates by length, and does not like instructions followed. */
const judge = ruleJudge("rules", (_, response) => ({
  helpfulness: { rating: response.length, rationale: `${response}!` },
  honesty: "N/A",
  overall: 10,
}));

test("answers are shown in an order of the call's own, the same for the same seed; empty ones are not shown", () => {
  const orders = (seed: number, criterion: "honesty" | "helpfulness") =>
    Array.from({ length: 300 }, (_, i) => questionOf(promptAt(i), call(i, criterion), seed).order.join());
  const first = orders(0, "honesty");
  expect(orders(0, "honesty")).toEqual(first);
  expect(orders(1, "honesty")).not.toEqual(first);
  expect(orders(0, "helpfulness")).not.toEqual(first);
  const counts = [...new Set(first)].map((order) => first.filter((other) => other === order).length);
  expect(counts.length).toBe(6);
  for (const count of counts) expect(count).toBeGreaterThan(25);
  const { question, order } = questionOf(promptAt(0), call(0, "honesty"), 0);
  expect(question.responses).toEqual(order.map((i) => ["A", " ", "C", "DDDD"][i]));
});

test("ratings find their way back to the answers they are of, whatever the order was", async () => {
  for (let seed = 0; seed < 8; seed++) {
    const row = rowAt(0);
    const records = await Promise.all(
      (["helpfulness", "honesty", "overall"] as const).map((name) => askJudge(judge, promptAt(0), call(0, name), seed)),
    );
    const rated = withRatings({ ...row.fields, extra: 1 }, records) as {
      extra: 1;
      completions: Record<string, unknown>[];
    };
    expect(rated).toMatchObject({ extra: 1, instruction: "Say 0.", source: "evol_instruct" });
    const annotations = (rating: string, rationale: string) => ({
      helpfulness: { Rating: rating, Rationale: rationale },
      honesty: { Rating: "N/A", Rationale: "" },
    });
    const overall = { overall_score: 10, critique: "" };
    expect(rated.completions).toEqual([
      { model: "a", response: "A", annotations: annotations("1", "A!"), "fine-grained_score": 1, ...overall },
      { model: "b", response: " ", annotations: {}, "fine-grained_score": null },
      { model: "c", response: "C", annotations: annotations("1", "C!"), "fine-grained_score": 1, ...overall },
      { model: "d", response: "DDDD", annotations: annotations("4", "DDDD!"), "fine-grained_score": 4, ...overall },
    ]);
  }
});

test("what failed is left out of the rows, and earlier scores go", async () => {
  const failing: Judge = {
    ...judge,
    rate: async () => ({ reason: "no rating", raw: "Hm.", usage: NO_USAGE }),
  };
  const row = rowAt(0);
  const failed = await askJudge(failing, promptAt(0), call(0, "helpfulness"), 0);
  expect(failed).toMatchObject({ criterion: "helpfulness", failed: "unread", reason: "no rating", raw: "Hm." });
  const { completions } = withRatings(row.fields, [failed]) as { completions: unknown[] };
  expect(completions[0]).toEqual({ model: "a", response: "A", annotations: {}, "fine-grained_score": null });
});

test("a chat that the model refuses is a failure; what ends other calls too is thrown", async () => {
  const refusing = (error: Error): Judge => ({ ...judge, rate: () => Promise.reject(error) });
  const ask = (error: Error) => askJudge(refusing(error), promptAt(0), call(0, "honesty"), 0);
  expect(await ask(new AnswerError("m", "refused", "too long"))).toMatchObject({
    failed: "refused",
    reason: "m: too long",
  });
  expect(await ask(new AnswerError("m", "unavailable", "HTTP 500"))).toMatchObject({ failed: "unavailable" });
  for (const error of [new AnswerError("m", "denied", "no key"), new BudgetError("spent")])
    await expect(ask(error)).rejects.toBe(error);
});
