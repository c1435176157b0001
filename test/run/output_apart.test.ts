import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseFeedbackGenerate } from "../../lib/recipe/feedback_generate.js";
import { parseFeedbackScore } from "../../lib/recipe/feedback_score.js";
import { binarizeFile, rankFile } from "../../lib/run/feedback.js";
import { generateFeedback, planFeedback } from "../../lib/run/generate_feedback.js";
import { scoreFeedback } from "../../lib/run/score_feedback.js";
import { planScore } from "../../lib/run/score_plan.js";
import { scoredRow } from "../feedback/scored_rows.js";
import { refusal, temporaryFolder } from "./collect.js";
import { writeJsonLines } from "./small_model.js";

const folder = temporaryFolder();
mkdirSync(join(folder, "rows"));
const rows = writeJsonLines(join(folder, "rows/rows.jsonl"), [
  { prompt: "hello", ...scoredRow([{ model: "a" }, { model: "b" }]).fields },
]);
const before = readFileSync(rows, "utf8");
symlinkSync(join(folder, "rows"), join(folder, "link"));

/** All that reads rows and writes others. The models cannot be reached, nor need they be. */
const model = { model: "m", endpoint: "http://127.0.0.1:9/v1", tries: 1 };
const work: Record<string, (input: string, output: string) => Promise<unknown>> = {
  binarizeFile: (input, output) => binarizeFile(input, output, {}),
  rankFile: (input, output) => rankFile(input, output, {}),
  generateFeedback: (prompts, output) => generateFeedback(generateRecipe(prompts, output)),
  planFeedback: (prompts, output) => planFeedback(generateRecipe(prompts, output)),
  scoreFeedback: (input, output) => scoreFeedback(scoreRecipe(input, output)),
  planScore: (input, output) => planScore(scoreRecipe(input, output)),
};
const generateRecipe = (prompts: string, output: string) =>
  parseFeedbackGenerate({ text: JSON.stringify({ prompts, output, completions_per_prompt: 1, models: [model] }) });
const scoreRecipe = (input: string, output: string) =>
  parseFeedbackScore({ text: JSON.stringify({ input, output, judge: model }) });

test.each(Object.keys(work))("%s does not write over its input, nor into the folder that it reads", async (name) => {
  const other = "expected another file than the input";
  expect(await refusal(work[name]!(rows, rows))).toBe(`ConfigError: output: ${rows}, ${other}`);
  const linked = join(folder, "link/../link/rows.jsonl");
  expect(await refusal(work[name]!(rows, linked))).toBe(`ConfigError: output: ${linked}, ${other}`);
  const inside = join(folder, "link/new/out.jsonl");
  expect(await refusal(work[name]!(join(folder, "rows"), inside))).toBe(
    `ConfigError: output: ${inside}, expected a file outside of the input folder ${join(folder, "rows")}`,
  );
  expect(readFileSync(rows, "utf8")).toBe(before);
});

test("an output beside its input, or in a folder that begins like it, is apart", async () => {
  for (const output of ["rows/..rows.jsonl", "rows2/out.jsonl"]) {
    await binarizeFile(rows, join(folder, output), {});
    expect(await refusal(binarizeFile(join(folder, "rows/rows.jsonl"), join(folder, output), {}))).toBe(
      "nothing was refused",
    );
  }
  expect(readFileSync(rows, "utf8")).toBe(before);
});
