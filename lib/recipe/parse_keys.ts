import type { z } from "zod";
import { fromText, locate, put } from "./layers.js";
import { parseOverrides } from "./overrides.js";
import { deepFreeze, type RecipeSource, readSource } from "./parse.js";
import { type Problem, showPath, throwProblems, toProblems } from "./problems.js";
import type { DeepReadonly } from "./schema.js";

/**
 * Reads a recipe whose keys are those of `schema` and no others. `check` finds what is wrong with values that are each
 * right alone. Throws as `parseRecipe` does.
 */
export function parseKeys<Schema extends z.ZodObject>(
  schema: Schema,
  source: RecipeSource,
  check: (recipe: DeepReadonly<z.output<Schema>>) => readonly Problem[] = () => [],
): DeepReadonly<z.output<Schema>> {
  const overrides = parseOverrides(source.overrides ?? []);
  const file = readSource(source);
  const values: Record<string, unknown> = { ...file.values };
  const problems: Problem[] = [];
  for (const { path, text } of overrides) {
    const found = locate(schema, path);
    if (found === undefined) problems.push({ key: showPath(path), message: `${path[0]} has no entries of its own` });
    else put(values, found.path, fromText(found.schema, text));
  }
  const place = ({ key, message }: Problem): Problem => {
    const isOverridden = overrides.some(({ path }) => key === showPath(path) || key.startsWith(`${showPath(path)}.`));
    const isInFile = Object.hasOwn(file.values, key.split(".")[0]!);
    return { key, message: isOverridden || !isInFile ? message : `${message} (${file.place(key.split("."))})` };
  };
  const result = schema.safeParse(values);
  if (!result.success) {
    const found = toProblems(schema, values, result.error);
    throwProblems([...problems, ...found.map(({ path, message }) => place({ key: showPath(path), message }))]);
  }
  const recipe = deepFreeze(result.data) as DeepReadonly<z.output<Schema>>;
  throwProblems([...problems, ...check(recipe).map(place)]);
  return recipe;
}
