import type { SourceRow } from "../../lib/data/source.js";

export interface Draft {
  model: string;
  response?: string;
  ratings?: Record<string, unknown>;
  overall?: unknown;
}

/** A row in UltraFeedback's shape; the response is the model's name in capitals unless given. */
export function scoredRow(completions: Draft[], fields: Record<string, unknown> = {}, index = 0): SourceRow {
  return {
    source: "feedback.jsonl",
    index,
    fields: {
      source: "evol_instruct",
      instruction: "Say hello.",
      prompt_id: "p1",
      completions: completions.map(({ model, response, ratings, overall }) => ({
        model,
        response: response ?? model.toUpperCase(),
        annotations: Object.fromEntries(Object.entries(ratings ?? {}).map(([aspect, Rating]) => [aspect, { Rating }])),
        ...(overall === undefined ? {} : { overall_score: overall }),
      })),
      ...fields,
    },
  };
}

/** All rows of an iteration. */
export async function collect<Row>(rows: AsyncIterable<Row>): Promise<Row[]> {
  const all: Row[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

export const good: Draft = {
  model: "a",
  ratings: { helpfulness: "5", honesty: "N/A", truthfulness: "4" },
  overall: 3,
};
export const fair: Draft = { model: "b", ratings: { helpfulness: "4", honesty: "4", truthfulness: "4" }, overall: 9 };
export const poor: Draft = { model: "c", ratings: { helpfulness: "1", honesty: "2", truthfulness: "3" }, overall: 5 };
