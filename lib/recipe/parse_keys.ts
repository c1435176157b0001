import type { z } from "zod";
import { fromText, locate, put } from "./layers.js";
import { type Override, parseOverrides } from "./overrides.js";
import { deepFreeze, type RecipeSource, readSource } from "./parse.js";
import { type Problem, showPath, throwProblems, toProblems } from "./problems.js";
import type { DeepReadonly } from "./schema.js";

/** What there is to read keys from: later ones go before. */
export interface GivenKeys {
  /** What follows from elsewhere. */
  readonly derived?: Readonly<Record<string, unknown>>;
  /** A file's, or those of a section of it. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly overrides: readonly Override[];
  /** `file:line` of one of `values`. */
  place(path: readonly string[]): string;
}

/** Finds what is wrong with values that are each right alone. */
export type Check<Schema extends z.ZodType> = (recipe: DeepReadonly<z.output<Schema>>) => readonly Problem[];

/**
 * Reads a recipe whose keys are those of `schema` and no others. Throws as `parseRecipe` does.
 */
export function parseKeys<Schema extends z.ZodObject>(
  schema: Schema,
  source: RecipeSource,
  check?: Check<Schema>,
): DeepReadonly<z.output<Schema>> {
  const overrides = parseOverrides(source.overrides ?? []);
  const file = readSource(source);
  const { recipe, problems } = readKeys(schema, { ...file, overrides }, check);
  throwProblems(problems);
  return recipe!;
}

/** The recipe, or what is wrong with it. */
export function readKeys<Schema extends z.ZodObject>(
  schema: Schema,
  { derived = {}, values: own, overrides, place: placeOf }: GivenKeys,
  check: Check<Schema> = () => [],
): { readonly recipe?: DeepReadonly<z.output<Schema>>; readonly problems: readonly Problem[] } {
  const values: Record<string, unknown> = { ...derived, ...own };
  const problems: Problem[] = [];
  for (const { path, text } of overrides) {
    const found = locate(schema, path);
    if (found === undefined) problems.push({ key: showPath(path), message: `${path[0]} has no entries of its own` });
    else put(values, found.path, fromText(found.schema, text));
  }
  const place = ({ key, message }: Problem): Problem => {
    const isOverridden = overrides.some(({ path }) => key === showPath(path) || key.startsWith(`${showPath(path)}.`));
    const isInFile = Object.hasOwn(own, key.split(".")[0]!);
    return { key, message: isOverridden || !isInFile ? message : `${message} (${placeOf(key.split("."))})` };
  };
  const result = schema.safeParse(values);
  if (!result.success) {
    const found = toProblems(schema, values, result.error);
    problems.push(...found.map(({ path, message }) => place({ key: showPath(path), message })));
    return { problems };
  }
  const recipe = deepFreeze(result.data) as DeepReadonly<z.output<Schema>>;
  problems.push(...check(recipe).map(place));
  return problems.length > 0 ? { problems } : { recipe, problems };
}
