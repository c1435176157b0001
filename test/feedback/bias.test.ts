import { describe, expect, test } from "vitest";
import { Random } from "../../lib/base/random.js";
import { JudgeStatistics } from "../../lib/feedback/bias.js";
import { LengthBias } from "../../lib/feedback/length_bias.js";
import { PositionBias } from "../../lib/feedback/position_bias.js";
import type { Rating } from "../../lib/feedback/rating.js";
import type { CallRecord } from "../../lib/feedback/score.js";
import { toScoredPrompt } from "../../lib/feedback/scored.js";
import { scoredRow } from "./scored_rows.js";

/** Calls of four answers whose ratings gain `bonus` where they are shown first. */
function judged(calls: number, bonus: number, seed: number): PositionBias {
  const random = new Random(seed);
  const bias = new PositionBias();
  for (let i = 0; i < calls; i++) bias.add([0, 1, 2, 3].map((at) => 1 + random.below(4) + (at === 0 ? bonus : 0)));
  return bias;
}

describe("position", () => {
  test("worked by hand: means, deviations from the call's mean, standard errors; N/A tells nothing", () => {
    const bias = new PositionBias();
    bias.add([5, 3]);
    bias.add([4, 2]);
    bias.add(["N/A", 3]);
    bias.add([3, 3]);
    expect(bias.report(0).positions).toEqual([
      { count: 3, mean: 4, deviation: 2 / 3, standardError: expect.closeTo(1 / 3, 12) as number },
      { count: 4, mean: 11 / 4, deviation: -2 / 3, standardError: expect.closeTo(1 / 3, 12) as number },
    ]);
  });

  test("a position that never had a number has no mean, and one that was alone in its call no deviation", () => {
    const bias = new PositionBias();
    bias.add(["N/A", 4, "N/A"]);
    expect(bias.report(0)).toEqual({
      positions: [
        { count: 0, mean: null, deviation: null, standardError: null },
        { count: 1, mean: 4, deviation: null, standardError: null },
        { count: 0, mean: null, deviation: null, standardError: null },
      ],
      ...{ pValue: null, permutations: 0 },
    });
    bias.add(["N/A", 4, 2]);
    expect(bias.report(0).positions.map(({ deviation }) => deviation)).toEqual([null, 1, -1]);
    expect(bias.report(0).pValue).toBe(1);
  });

  test("the p-value is the share of all orders that are as uneven: two of eight for three calls that agree", () => {
    const bias = new PositionBias();
    for (let i = 0; i < 3; i++) bias.add([5, 3]);
    const { pValue, permutations } = bias.report(0);
    expect(permutations).toBe(999);
    expect(pValue).toBeGreaterThan(0.2);
    expect(pValue).toBeLessThan(0.3);
  });

  test("a bonus for the first is found; without one p-values are spread evenly", () => {
    expect(judged(200, 1, 0).report(0).pValue).toBe(1 / 1000);
    const pValues = Array.from({ length: 40 }, (_, seed) => judged(40, 0, seed).report(seed).pValue!);
    expect(pValues.filter((p) => p < 0.5).length).toBeGreaterThan(10);
    expect(pValues.filter((p) => p < 0.5).length).toBeLessThan(30);
    expect(Math.min(...pValues)).toBeGreaterThan(0.001);
  });

  test("ratings that never differ say nothing", () => {
    const bias = new PositionBias();
    bias.add([3, 3]);
    expect(bias.report(0)).toMatchObject({ pValue: null, permutations: 0 });
    const decimals = new PositionBias();
    decimals.add([0.1, 0.1, 0.1]); // whose sum is above 0.3
    expect(decimals.report(0)).toMatchObject({ pValue: null, permutations: 0 });
    expect(new PositionBias().report(0)).toEqual({ positions: [], pValue: null, permutations: 0 });
  });
});

describe("length", () => {
  test("worked by hand: the longer wins two of three pairs, with one and two doublings", () => {
    const bias = new LengthBias();
    const answers = [
      { score: 4, length: 400 },
      { score: 3, length: 200 },
      { score: 5, length: 100 },
      { score: undefined, length: 900 },
    ];
    bias.addPrompt(answers); // 400 beats 200 (one doubling), loses to 100 (two); 200 loses to 100 (one)
    const { wins } = bias.report();
    expect(wins).toMatchObject({ pairs: 3, longerWins: 1 / 3, standardError: null });
    expect(wins.slopePerDoubling).toBeCloseTo((0.5 - 2 * 0.5 - 0.5) / 6, 12);
    bias.addPrompt([
      { score: 2, length: 100 },
      { score: 2, length: 100 },
    ]);
    bias.addPrompt([
      { score: 2, length: 800 },
      { score: 2, length: 100 },
    ]);
    const slope = -1 / 15; // a tie over three doublings adds nine to the squares
    const after = bias.report().wins;
    expect(after).toMatchObject({ pairs: 4, longerWins: 1.5 / 4 });
    expect(after.slopePerDoubling).toBeCloseTo(slope, 12);
    expect(after.standardError).toBeCloseTo(Math.hypot(-1 - slope * 6, -slope * 9) / 15, 12);
  });

  test("correlation within prompts leaves out that some prompts ask for more", () => {
    const bias = new LengthBias();
    for (let i = 0; i < 50; i++)
      bias.addRatings("helpfulness", [1 + (i % 4), 2 + (i % 4)], [1000 * (i % 4) + 20, 1000 * (i % 4) + 10]);
    const { all, withinPrompts, count } = bias.report().correlations.helpfulness!;
    expect([count, withinPrompts]).toEqual([100, -1]);
    expect(all).toBeGreaterThan(0.7);
  });
});

test("histograms by aspect and by model, shares of N/A and of failed calls", () => {
  const statistics = new JudgeStatistics();
  const row = toScoredPrompt(scoredRow([{ model: "a" }, { model: "b", response: "BBBB" }]));
  const order = [1, 0];
  const usage = { promptTokens: 0, completionTokens: 0 };
  const rated = (criterion: CallRecord["criterion"], ...ratings: Rating[]): CallRecord => ({
    ...{ key: "k", criterion, order, usage },
    ratings: ratings.map((rating) => ({ rating, rationale: "" })),
  });
  statistics.add(row, [rated("honesty", 5, "N/A"), rated("helpfulness", 3.6, 2), rated("overall", 10, 1)]);
  statistics.add(row, [
    rated("honesty", 4, 4),
    { key: "k", criterion: "helpfulness", usage, failed: "unread", reason: "no rating", raw: "" },
  ]);
  const { prompts, criteria, models, length } = statistics.report();
  expect(prompts).toBe(2);
  expect(criteria.honesty).toMatchObject({
    ...{ calls: 2, failed: 0, failedShare: 0, answers: 4, mean: 13 / 3, notApplicableShare: 1 / 4 },
    ratings: { "4": 2, "5": 1, "N/A": 1 },
    position: { positions: [{ mean: 4.5 }, { mean: 4 }] },
  });
  expect(criteria.helpfulness).toMatchObject({ calls: 2, failed: 1, failedShare: 0.5, ratings: { "2": 1, "4": 1 } });
  expect(Object.keys(criteria.overall!.ratings)).toEqual(["1", "10"]);
  expect(models.a).toEqual({ answers: 3, mean: 3, ratings: { "2": 1, "4": 1, "N/A": 1 }, notApplicableShare: 1 / 3 });
  expect(models.b!.mean).toBeCloseTo((5 + 3.6 + 4) / 3, 12);
  expect(length.wins).toMatchObject({ pairs: 2, longerWins: 0.75 }); // 4.3 against 2, then a tie
});
