import { join } from "node:path";
import { expect, test } from "vitest";
import { scoredRow } from "../feedback/scored_rows.js";
import { temporaryFolder } from "../run/collect.js";
import { writeJsonLines } from "../run/small_model.js";
import { run } from "./command.js";

const folder = temporaryFolder();

/** Rows of two answers each, with the ratings of one judge. */
function judged(name: string, ratings: (readonly [unknown, unknown])[]): string {
  const rows = ratings.map((own, i) => {
    const answers = own.map((honesty, at) => ({ model: "xy"[at]!, ratings: { honesty } }));
    return scoredRow(answers, { prompt_id: `p${i}` }).fields;
  });
  return writeJsonLines(join(folder, name), rows);
}

const a = judged("a.jsonl", [
  [5, 3],
  [4, "N/A"],
  [2, 1],
]);
const b = judged("b.jsonl", [
  [4, 3],
  [4, 3],
]);

test("agree prints a table, or JSON", async () => {
  const { code, stdout, stderr } = await run("feedback", "agree", a, b);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toBe(
    [
      "prompts: 2 in both, 1 in A alone, 0 in B alone",
      "answers: 4 in both, 2 in A alone, 0 in B alone",
      "",
      "ratings  answers  mean A  mean B  equal  kappa  weighted  alpha ord.  alpha int.  Spearman  both N/A  one N/A",
      "honesty        3   4.000   3.667  0.667  0.500     0.667       0.778       0.706     0.866         0        1",
      "mean           3   4.000   3.667  0.667  0.500     0.667       0.778       0.706     0.866         0        0",
      "",
      "preferences  pairs  same  opposite  one ties  both tie  agreement",
      "honesty          1     1         0         0         0      1.000",
      "mean             1     1         0         0         0      1.000",
      "",
    ].join("\n"),
  );
  const json = await run("feedback", "agree", a, b, "--json");
  expect(JSON.parse(json.stdout)).toMatchObject({
    answers: { both: 4 },
    scores: { honesty: { count: 3, exact: 2 / 3 } },
  });
});

test("a file that is not there", async () => {
  const { code, stdout, stderr } = await run("feedback", "agree", a, join(folder, "none.jsonl"));
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(/none\.jsonl: is missing/);
});
