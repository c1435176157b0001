// binarize against a few lines that state each rule on its own, row by row, over real feedback.
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { philox4x32 } from "../../lib/base/random.js";
import type { SourceRow } from "../../lib/data/source.js";
import { binarize } from "../../lib/feedback/binarize.js";
import type { BinarizeRule } from "../../lib/feedback/candidates.js";
import { readJsonLines, sharedData } from "../shared_data.js";
import { collect } from "./scored_rows.js";

interface Answer {
  model: string;
  response: string;
  annotations: Record<string, unknown>;
  overall_score: number | null;
}
interface Row {
  instruction: string;
  completions: Answer[];
}

const flatMean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const meanOf = ({ annotations }: Answer): number => {
  const rated = Object.values(annotations).flatMap((value) => {
    const reviews = (Array.isArray(value) ? value : [value]).filter((review) => review?.Rating !== undefined);
    return reviews.length === 0 ? [] : [flatMean(reviews.map(({ Rating }) => Number(Rating)))];
  });
  return flatMean(rated); // NaN where there is none
};
const overallOf = (answer: Answer): number => {
  const score = answer.overall_score ?? Number.NaN;
  return score === 10 && meanOf(answer) <= 2 ? 1 : score;
};

/** The two answers by the rule, or nothing. */
function expectedPair(
  { instruction, completions }: Row,
  rule: BinarizeRule,
  seed: number,
): [Answer, Answer] | undefined {
  const written = completions.filter(({ response }) => response.trim() !== "");
  const hasMeans = written.filter((answer) => !Number.isNaN(meanOf(answer))).length >= 2;
  const scoreOf = rule === "mean" || (rule === "best-worst" && hasMeans) ? meanOf : overallOf;
  const scored = written.filter((answer) => !Number.isNaN(scoreOf(answer)));
  const highest = Math.max(...scored.map(scoreOf));
  const chosen = scored.find((answer) => scoreOf(answer) === highest);
  const lower = scored.filter((answer) => scoreOf(answer) < highest && answer.response !== chosen!.response);
  if (chosen === undefined || lower.length === 0) return undefined;
  if (rule === "best-worst") {
    const lowest = Math.min(...lower.map(scoreOf));
    return [chosen, lower.find((answer) => scoreOf(answer) === lowest)!];
  }
  // The draw: the first number of Philox with the seed as its key, mixed with the first four bytes of the SHA-256 of
  // [instruction, [model of each completion]] as JSON; as a share of 2^32 it points into the lower answers in their order.
  const name = JSON.stringify([instruction, completions.map(({ model }) => model)]);
  const stream = createHash("sha256").update(name).digest().readUInt32LE(0);
  const [drawn] = philox4x32([0, 0, 0, 0], [seed, Math.imul(stream, 0x9e3779b9) >>> 0]);
  return [chosen, lower[Math.floor(((drawn >>> 0) / 2 ** 32) * lower.length)]!];
}

const file = sharedData("preferences/feedback_raw_train.jsonl");

test.skipIf(file === undefined)("every rule and seed gives the pairs that the rule's own few lines give", async () => {
  const rows = readJsonLines<Row>(file!);
  const source = rows.map((fields, index): SourceRow => ({ source: file!, index, fields: { ...fields } }));
  for (const rule of ["mean", "overall", "best-worst"] as const) {
    for (const seed of [0, 1, 42]) {
      const expected = rows.flatMap((row) => {
        const pair = expectedPair(row, rule, seed);
        return pair === undefined
          ? []
          : [[row.instruction, ...pair.flatMap(({ model, response }) => [model, response])]];
      });
      const pairs = await collect(binarize(source, { rule, seed }));
      const found = pairs.map(({ prompt, chosen, rejected, chosen_model, rejected_model }) => [
        ...[prompt, chosen_model, chosen[1]!.content, rejected_model, rejected[1]!.content],
      ]);
      expect(found.length).toBe(expected.length);
      expect(found.findIndex((pair, i) => JSON.stringify(pair) !== JSON.stringify(expected[i]))).toBe(-1);
      expect(found.length).toBeGreaterThan(rule === "mean" ? 50 : 3000);
    }
  }
});
