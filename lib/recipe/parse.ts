import { readFileSync } from "node:fs";
import { FileError } from "../base/errors.js";
import { findContradictions, noteDifferences, withConsequences } from "./checks.js";
import { IGNORED } from "./keys_ignored.js";
import { fileLayer, type Layer, merge, overrideLayer } from "./layers.js";
import { parseOverrides } from "./overrides.js";
import { type Problem, showPath, throwProblems, toProblems } from "./problems.js";
import { type DpoRecipe, type RecipeKind, SCHEMAS, type SftRecipe } from "./schema.js";
import { readYaml, type YamlFile } from "./yaml_text.js";

/** Where a recipe comes from. Neither a path nor text: the overrides alone. */
export interface RecipeSource {
  readonly path?: string;
  /** Read instead of the file; `path` is then only its name in errors. */
  readonly text?: string;
  /** A command line's `--key=value`, `--key value` or `--key`. They go before the file. */
  readonly overrides?: readonly string[];
}

export interface ParsedRecipe<Recipe> {
  /** Every key has a value. Paths in it are as written: relative to the current directory, not to the recipe. */
  readonly recipe: Recipe;
  /** Keys given that change nothing here, each with the reason: `hub_model_id: nothing is uploaded`. */
  readonly ignored: readonly string[];
  /** What a reader might expect to be otherwise. */
  readonly notes: readonly string[];
}

export type RecipeOf<Kind extends RecipeKind> = Kind extends "sft" ? SftRecipe : DpoRecipe;

/**
 * Reads a recipe. Throws FileError for a file that cannot be read, UsageError for an override that is not
 * `--key=value`, and one ConfigError for all that is wrong with the recipe: the first problem, then a line for each
 * other. Features that are not in this version are not asked about; `checkSupported` does that.
 */
export function parseRecipe<Kind extends RecipeKind>(kind: Kind, source: RecipeSource): ParsedRecipe<RecipeOf<Kind>> {
  const overrides = parseOverrides(source.overrides ?? []);
  const layers = [fileLayer([kind], readSource(source)), overrideLayer([kind], overrides)];
  const { problems, ...parsed } = resolve(kind, layers);
  throwProblems(problems);
  return parsed;
}

export function readSource({ path, text }: RecipeSource): YamlFile {
  return readYaml(path ?? "recipe", text ?? (path === undefined ? "" : readFile(path)));
}

function readFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const what = code === "ENOENT" ? "no such file" : code === "EISDIR" ? "is a folder" : message;
    throw new FileError(path, `${what}, expected a recipe`, { cause });
  }
}

/** Lays the layers over each other and checks the result. With problems, the recipe is not one. */
export function resolve<Kind extends RecipeKind>(
  kind: Kind,
  layers: readonly Layer[],
  section: readonly string[] = [],
): ParsedRecipe<RecipeOf<Kind>> & { readonly problems: readonly Problem[] } {
  const merged = merge(kind, layers);
  const ignored = [...new Set(layers.flatMap((layer) => layer.ignored))].map((key) => `${key}: ${IGNORED.get(key)}`);
  const problems = layers.flatMap((layer) => layer.problems);
  const place = (path: readonly string[], message: string): Problem => {
    const { spelt = showPath([...section, path[0]!]), where = "" } = merged.origin.get(path[0]!) ?? {};
    return { key: showPath([spelt, ...path.slice(1)]), message: message + where };
  };

  const schema = SCHEMAS[kind];
  const result = schema.safeParse(merged.values);
  if (!result.success) {
    const found = toProblems(schema, merged.values, result.error);
    problems.push(...found.map(({ path, message }) => place(path, message)));
    return { recipe: undefined as never, ignored, notes: [], problems };
  }
  const recipe = withConsequences(result.data as RecipeOf<Kind>);
  const contradictions = findContradictions(recipe, new Set(merged.origin.keys()));
  problems.push(...contradictions.map(({ key, message }) => place([key], message)));
  return { recipe: deepFreeze(recipe), ignored, notes: noteDifferences(kind, recipe, merged), problems };
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}
