import { expect, test } from "vitest";

import { lineChart, niceTicks } from "../../lib/report/chart.js";
import { showBytes, showDuration, showNumber } from "../../lib/report/number.js";
import { renderReport } from "../../lib/report/report.js";
import { markdownTable, textTable } from "../../lib/report/table.js";

test("ticks are round and enclose the range", () => {
  expect(niceTicks([0.51, 0.69])).toEqual([0.5, 0.55, 0.6, 0.65, 0.7]);
  expect(niceTicks([-3, 12])).toEqual([-5, 0, 5, 10, 15]);
  expect(niceTicks([2, 2])).toEqual([2, 2.5]);
});

test("a chart leaves out what is not finite and holds no line break", () => {
  const svg = lineChart("a < b", "step", [
    {
      name: "loss",
      points: [
        [1, 2],
        [2, Number.NaN],
        [3, 1],
      ],
    },
  ]);
  expect(svg).toContain("a &lt; b");
  expect(svg.match(/<polyline points="([^"]*)"/)![1]!.split(" ")).toHaveLength(2);
  expect(svg).not.toContain("\n");
  expect(lineChart("empty", "step", [])).toBe("");
});

test("numbers and durations are short", () => {
  expect([0.123456, 12.5, 2e-7, 123456.7, 0, Number.NaN].map(showNumber)).toEqual([
    "0.1235",
    "12.5",
    "2.000e-7",
    "123,457",
    "0",
    "NaN",
  ]);
  expect([12.34, 127, 11_100].map(showDuration)).toEqual(["12.3 s", "2 min 07 s", "3 h 05 min"]);
  expect([59.97, 3599.9, 14_390].map(showDuration)).toEqual(["1 min 00 s", "1 h 00 min", "4 h 00 min"]);
  expect([0, 999, 1000, 4_523_000_000, 7.5e15].map(showBytes)).toEqual([
    ...["0 bytes", "999 bytes", "1 kB", "4.52 GB", "7500 TB"],
  ]);
});

test("tables keep cells apart", () => {
  expect(markdownTable(["a", "b"], [["x|y", "1\n2"]])).toBe("| a | b |\n| --- | --- |\n| x\\|y | 1<br>2 |");
  expect(
    textTable(
      ["model", "score"],
      [
        ["base", "1.5"],
        ["dDPO", "10.25"],
      ],
    ),
  ).toBe("model  score\nbase     1.5\ndDPO   10.25");
});

test("a report shows facts, curves, samples and the recipe", () => {
  const report = renderReport({
    title: "dDPO",
    summary: "One epoch.",
    facts: [["rows", 3]],
    records: [
      { step: 1, loss: 0.7 },
      { step: 2, loss: 0.6, eval_loss: 0.65 },
    ],
    samples: [{ prompt: "hi", before: "*a*", after: "<b>" }],
    recipe: "beta: 0.1\n",
  });
  expect(report).toContain("| rows | 3 |");
  expect(report.match(/<svg/g)).toHaveLength(1);
  expect(report).toContain("| eval_loss | 0.65 |");
  expect(report).toContain("| hi | &#42;a&#42; | &#60;b&#62; |");
  expect(report).toContain("```yaml\nbeta: 0.1\n```");
});
