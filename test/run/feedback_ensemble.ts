import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach } from "vitest";

import { type FeedbackGenerateRecipe, parseFeedbackGenerate } from "../../lib/recipe/feedback_generate.js";
import {
  type FeedbackSummary,
  type GenerateFeedbackOptions,
  generateFeedback,
} from "../../lib/run/generate_feedback.js";
import { FakeEndpoint } from "../feedback/fake_endpoint.js";
import { temporaryFolder } from "./collect.js";
import { writeJsonLines } from "./small_model.js";

export interface Row {
  readonly prompt_id: string;
  readonly instruction: string;
  readonly models: readonly string[];
  readonly completions: readonly Record<string, string | null>[];
  readonly messages?: unknown;
}

export const linesOf = <T = Row>(path: string): T[] =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

export const numbers = (count: number): object[] =>
  Array.from({ length: count }, (_, i) => ({ prompt: `number ${i}` }));

/** Recipes whose models answer behind a fake endpoint, which is a new one for every test of a file. */
export class Ensemble {
  readonly folder = temporaryFolder();
  /** Twenty. */
  readonly prompts = writeJsonLines(join(this.folder, "prompts.jsonl"), numbers(20));
  endpoint!: FakeEndpoint;
  private numFiles = 0;

  constructor() {
    beforeEach(async () => {
      await this.endpoint?.[Symbol.asyncDispose]();
      this.endpoint = await FakeEndpoint.start();
    });
    afterAll(() => this.endpoint[Symbol.asyncDispose]());
  }

  /** Models of these letters. */
  remote = (names = "abcde", keys: object = {}): object[] =>
    [...names].map((model) => ({ model, endpoint: this.endpoint.url, max_wait: 0, ...keys }));

  newOutput = (): string => join(this.folder, `${this.numFiles++}/completions.jsonl`);

  file = (name: string, rows: readonly object[]): string => writeJsonLines(join(this.folder, name), rows);

  recipe = (output: string, keys: object = {}): FeedbackGenerateRecipe => {
    const all = { prompts: this.prompts, output, completions_per_prompt: 3, models: this.remote(), ...keys };
    return parseFeedbackGenerate({ text: JSON.stringify(all) });
  };

  generate = (output: string, keys: object = {}, options: GenerateFeedbackOptions = {}): Promise<FeedbackSummary> =>
    generateFeedback(this.recipe(output, keys), options);

  /** `model prompt` of each request. */
  asked = (): string[] => this.endpoint.requests.map(({ body, prompt }) => `${body.model} ${prompt}`);
}
