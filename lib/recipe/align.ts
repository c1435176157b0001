import { join } from "node:path";
import { ConfigError } from "../base/errors.js";
import { type FeedbackRecipe, readFeedback } from "./align_feedback.js";
import { fileLayer, type Layer, overrideLayer } from "./layers.js";
import { type Override, parseOverrides } from "./overrides.js";
import { type ParsedRecipe, type RecipeSource, readSource, resolve } from "./parse.js";
import { type Problem, showValue, throwProblems } from "./problems.js";
import type { DpoRecipe, SftRecipe } from "./schema.js";
import type { YamlFile } from "./yaml_text.js";

/** The stages of `westwind align`, in order; each may be missing. */
export interface AlignRecipe {
  readonly sft?: ParsedRecipe<SftRecipe>;
  readonly feedback?: FeedbackRecipe;
  readonly dpo?: ParsedRecipe<DpoRecipe>;
}

const STAGES = ["sft", "feedback", "dpo"] as const;
const isStage = (key: string): boolean => (STAGES as readonly string[]).includes(key);
const DATA_SET = /^dataset_(name|revision|mixer|mixture|splits|configs?|train_split|test_split)$/;

/**
 * Reads one file with the sections `sft`, `feedback` (`generate`, `score`, `binarize`) and `dpo`. Keys outside of them hold
 * for sft and dpo alike. What is left open follows from the stages: with a top-level `output_dir`, each stage writes to a
 * folder of its own in it; dpo starts from the model sft saves, and learns from the pairs feedback writes. Throws as
 * `parseRecipe` does.
 */
export function parseAlignRecipe(source: RecipeSource): AlignRecipe {
  const file = readSource(source);
  const overrides = parseOverrides(source.overrides ?? []);
  const problems: Problem[] = [];
  const sections = readSections(file, overrides, problems);
  if (sections.size === 0 && problems.length === 0) {
    throw new ConfigError("", `${source.path ?? "recipe"}: no stage, expected a section sft, feedback or dpo`);
  }

  const shared = Object.fromEntries(Object.entries(file.values).filter(([key]) => !isStage(key)));
  const sharedOverrides = overrides.filter(({ path }) => !isStage(path[0]));
  const common = [fileLayer(["sft", "dpo"], file, shared), overrideLayer(["sft", "dpo"], sharedOverrides)];
  problems.push(...common.flatMap((layer) => layer.problems));
  const root = common.flatMap(({ assignments }) => assignments).findLast(({ path }) => path[0] === "output_dir")?.value;
  const within = (...names: string[]) => (typeof root === "string" ? join(root, ...names) : undefined);

  const ownOverrides = (stage: string) =>
    overrides.flatMap(({ path, text }): Override[] => {
      const [first, key, ...rest] = path;
      return first === stage && key !== undefined ? [{ path: [key.replaceAll("-", "_"), ...rest], text }] : [];
    });
  const stage = <Kind extends "sft" | "dpo">(kind: Kind, derived: Record<string, string | undefined>) => {
    const section = sections.get(kind);
    if (section === undefined) return undefined;
    const inherited = common.map((layer) => ({ ...layer, problems: [] }));
    const layers = [
      ...(derived.dataset_name === undefined ? inherited : inherited.map(withoutData)),
      given(derived),
      fileLayer([kind], file, section, kind),
      overrideLayer([kind], ownOverrides(kind), kind),
    ];
    const { problems: own, ...parsed } = resolve(kind, layers, [kind]);
    problems.push(...own);
    return parsed;
  };

  const sft = stage("sft", { output_dir: within("sft") });
  const folder = typeof root === "string" ? (name: string) => join(root, "feedback", name) : undefined;
  const feedback = sections.has("feedback")
    ? readFeedback(file, ownOverrides("feedback"), folder, problems)
    : undefined;
  const makesPairs =
    Object.hasOwn(sections.get("feedback") ?? {}, "binarize") ||
    ownOverrides("feedback").some(({ path }) => path[0] === "binarize");
  const dpo = stage("dpo", {
    output_dir: within("dpo"),
    model_name_or_path: sft && (sft.recipe?.output_dir ?? "sft's model"),
    dataset_name: makesPairs ? (feedback?.binarize?.output ?? "feedback's pairs") : undefined,
  });
  const isFirst = ({ key, message }: Problem, i: number) =>
    problems.findIndex((other) => other.key === key && other.message === message) === i;
  throwProblems(problems.filter(isFirst)); // a shared key is looked at for sft and for dpo
  return { ...(sft && { sft }), ...(feedback && { feedback }), ...(dpo && { dpo }) };
}

/** The sections that a file or a command line has, by stage. */
function readSections(
  file: YamlFile,
  overrides: readonly Override[],
  problems: Problem[],
): Map<string, Record<string, unknown>> {
  const sections = new Map<string, Record<string, unknown>>();
  for (const stage of STAGES) {
    const value = file.values[stage] ?? {};
    const own = overrides.filter(({ path }) => path[0] === stage);
    if (typeof value !== "object" || Array.isArray(value)) {
      problems.push({ key: stage, message: `${showValue(value)}, expected a mapping (${file.place([stage])})` });
    } else if (Object.hasOwn(file.values, stage) || own.length > 0) {
      sections.set(stage, value as Record<string, unknown>);
    }
    if (own.some(({ path }) => path.length === 1)) {
      problems.push({ key: stage, message: `expected --${stage}.key=value` });
    }
  }
  return sections;
}

/** A layer of what follows from other stages. */
function given(values: Record<string, string | undefined>): Layer {
  const assignments = Object.entries(values).flatMap(([key, value]) =>
    value === undefined ? [] : [{ path: [key] as const, value, spelt: key, where: "" }],
  );
  return { assignments, ignored: [], problems: [] };
}

/** The shared data set is sft's, splits and all, once feedback makes dpo's. */
const withoutData = (layer: Layer): Layer => ({
  ...layer,
  assignments: layer.assignments.filter(({ path }) => !DATA_SET.test(path[0])),
});
