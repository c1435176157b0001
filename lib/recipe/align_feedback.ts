import type { z } from "zod";
import { type FeedbackBinarizeRecipe, feedbackBinarizeSchema } from "./feedback_binarize.js";
import { checkGenerate, type FeedbackGenerateRecipe, feedbackGenerateSchema } from "./feedback_generate.js";
import { checkScore, type FeedbackScoreRecipe, feedbackScoreSchema } from "./feedback_score.js";
import type { Override } from "./overrides.js";
import { type Check, readKeys } from "./parse_keys.js";
import { type Problem, showPath, showValue, unknownKey } from "./problems.js";
import type { YamlFile } from "./yaml_text.js";

/** The `feedback` section of a recipe of `westwind align`: its stages, in order; each may be missing. */
export interface FeedbackRecipe {
  readonly generate?: FeedbackGenerateRecipe;
  readonly score?: FeedbackScoreRecipe;
  readonly binarize?: FeedbackBinarizeRecipe;
}

const STAGES = ["generate", "score", "binarize"] as const;

/**
 * Reads the section of a file and what a command line says of it. Each stage reads what the one before writes, and they
 * write to files in `folder`, unless they say otherwise.
 */
export function readFeedback(
  file: YamlFile,
  overrides: readonly Override[],
  folder: ((name: string) => string) | undefined,
  problems: Problem[],
): FeedbackRecipe {
  const section = (file.values.feedback ?? {}) as Readonly<Record<string, unknown>>;
  for (const key of new Set([...Object.keys(section), ...overrides.map(({ path }) => path[0])])) {
    if ((STAGES as readonly string[]).includes(key)) continue;
    const where = Object.hasOwn(section, key) ? ` (${file.place(["feedback", key])})` : "";
    problems.push({ key: `feedback.${key}`, message: unknownKey(STAGES, key) + where });
  }

  const isThere = (name: string): boolean =>
    Object.hasOwn(section, name) || overrides.some(({ path }) => path[0] === name);
  const stage = <Schema extends z.ZodObject>(
    name: (typeof STAGES)[number],
    schema: Schema,
    derived: Readonly<Record<string, string | undefined>>,
    check?: Check<Schema>,
  ) => {
    const values = section[name] ?? {};
    const own = overrides.filter(({ path }) => path[0] === name);
    if (!isThere(name)) return undefined;
    const key = `feedback.${name}`;
    if (typeof values !== "object" || Array.isArray(values)) {
      problems.push({ key, message: `${showValue(values)}, expected a mapping (${file.place(["feedback", name])})` });
      return undefined;
    }
    const whole = own.find(({ path }) => path.length === 1);
    if (whole !== undefined) problems.push({ key, message: `expected --${key}.key=value` });
    const found = readKeys(
      schema,
      {
        derived: Object.fromEntries(Object.entries(derived).filter(([, value]) => value !== undefined)),
        values: values as Record<string, unknown>,
        overrides: own.flatMap(({ path: [, ...rest], text }): Override[] => {
          const [first, ...others] = rest;
          return first === undefined ? [] : [{ path: [first.replaceAll("-", "_"), ...others], text }];
        }),
        place: (path) => file.place(["feedback", name, ...path]),
      },
      check,
    );
    problems.push(...found.problems.map(({ key: inner, message }) => ({ key: showPath([key, inner]), message })));
    return found.recipe;
  };

  const generate = stage("generate", feedbackGenerateSchema, { output: folder?.("completions.jsonl") }, checkGenerate);
  const completions = isThere("generate") ? (generate?.output ?? "generate's completions") : undefined;
  const score = stage(
    "score",
    feedbackScoreSchema,
    { input: completions, output: folder?.("scored.jsonl") },
    checkScore,
  );
  const scored = isThere("score") ? (score?.output ?? "score's completions") : undefined;
  const binarize = stage("binarize", feedbackBinarizeSchema, { input: scored, output: folder?.("pairs.jsonl") });
  return { ...(generate && { generate }), ...(score && { score }), ...(binarize && { binarize }) };
}
