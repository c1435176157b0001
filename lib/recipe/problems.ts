import type { z } from "zod";
import { ConfigError } from "../base/errors.js";
import { nearest } from "./suggest.js";
import { choicesOf, entryOf, innermost, phraseOf } from "./values.js";

/** One thing that is wrong with a recipe: the entry, and what was found and expected. */
export interface Problem {
  readonly key: string;
  readonly message: string;
}

/** Throws one ConfigError for all problems: its key is the first one's, the others follow on lines of their own. */
export function throwProblems(problems: readonly Problem[]): void {
  const [first, ...others] = problems;
  if (first === undefined) return;
  const lines = others.map(({ key, message }) => (key === "" ? message : `${key}: ${message}`));
  throw new ConfigError(first.key, [first.message, ...lines].join("\n"));
}

export function unknownKey(names: Iterable<string>, name: string): string {
  const meant = nearest(name, names);
  return meant === undefined ? "unknown key" : `unknown key, did you mean ${meant}?`;
}

/** `mixture.datasets.0.weight`: the path of an entry as an override spells it. */
export const showPath = (path: readonly PropertyKey[]): string => path.map(String).join(".");

export function showValue(value: unknown): string {
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** What zod found, entry by entry. */
export function toProblems(
  schema: z.ZodType,
  values: unknown,
  error: z.ZodError,
): { path: string[]; message: string }[] {
  return error.issues.flatMap((issue) => {
    const path = issue.path.map(String);
    const { schema: entry, value } = follow(schema, values, path);
    if (issue.code === "unrecognized_keys") {
      const inner = innermost(entry) as z.ZodObject;
      return issue.keys.map((key) => ({
        path: [...path, key],
        message: unknownKey(Object.keys(inner.shape), key),
      }));
    }
    const expected = `expected ${phraseOf(entry)}`;
    if (value === undefined) return [{ path, message: `missing, ${expected}` }];
    const meant = typeof value === "string" ? nearest(value, choicesOf(entry)) : undefined;
    const hint = meant === undefined ? "" : `; did you mean ${meant}?`;
    return [{ path, message: `${showValue(value)}, ${expected}${hint}` }];
  });
}

function follow(schema: z.ZodType, values: unknown, path: readonly string[]): { schema: z.ZodType; value: unknown } {
  let value = values;
  for (const step of path) {
    schema = entryOf(schema, step) ?? schema;
    if (typeof value !== "object" && value !== undefined) continue; // a value that stands for a mapping with one entry
    value = (value as Record<string, unknown> | null | undefined)?.[step];
  }
  return { schema, value };
}
