import type { z } from "zod";
import { ALTERNATIVES } from "./keys_data.js";
import { IGNORED } from "./keys_ignored.js";
import type { Override } from "./overrides.js";
import { type Problem, showPath, showValue, unknownKey } from "./problems.js";
import { ALIASES, type RecipeKind, SCHEMAS } from "./schema.js";
import { asFlag, entryOf, innermost, isText } from "./values.js";
import { readYamlValue, type YamlFile } from "./yaml_text.js";

type Path = readonly [key: string, ...rest: string[]];

/** One entry that a source gives. `spelt` is how it names the key, `where` is ` (file:line)` or, without a file, empty. */
interface Assignment {
  readonly path: Path;
  readonly value: unknown;
  readonly spelt: string;
  readonly where: string;
}

/** What one source says: a file, a section of it, a command line. */
export interface Layer {
  readonly assignments: readonly Assignment[];
  readonly ignored: readonly string[];
  readonly problems: readonly Problem[];
}

const KEYS: Readonly<Record<RecipeKind, ReadonlySet<string>>> = {
  sft: new Set(Object.keys(SCHEMAS.sft.shape)),
  dpo: new Set(Object.keys(SCHEMAS.dpo.shape)),
};

/** The entries of a file, or of the section of it that `values` is. A key that none of `kinds` has is a problem. */
export function fileLayer(
  kinds: readonly RecipeKind[],
  file: YamlFile,
  values: Readonly<Record<string, unknown>> = file.values,
  section?: string,
): Layer {
  const prefix = section === undefined ? [] : [section];
  const entries = Object.entries(values).map(([key, value]) => ({
    path: [key] as const,
    value,
    spelt: showPath([...prefix, key]),
    where: ` (${file.place([...prefix, key])})`,
  }));
  return toLayer(kinds, entries, (_, { value }) => value);
}

export function overrideLayer(kinds: readonly RecipeKind[], overrides: readonly Override[], section?: string): Layer {
  const prefix = section === undefined ? [] : [section];
  const entries = overrides.map(({ path, text }) => ({
    path,
    value: text,
    spelt: showPath([...prefix, path[0]]),
    where: "",
  }));
  return toLayer(kinds, entries, (schema, { value }) => fromText(schema, value as string | undefined));
}

function toLayer(
  kinds: readonly RecipeKind[],
  entries: readonly Assignment[],
  read: (schema: z.ZodType | undefined, entry: Assignment) => unknown,
): Layer {
  const assignments: Assignment[] = [];
  const ignored: string[] = [];
  const problems: Problem[] = [];
  for (const entry of entries) {
    const { spelt, where } = entry;
    const [name, ...rest] = entry.path;
    const key = Object.hasOwn(ALIASES, name) ? ALIASES[name]! : name;
    const kind = kinds.find((kind) => KEYS[kind].has(key));
    if (kind === undefined) {
      if (IGNORED.has(key)) ignored.push(key);
      else problems.push({ key: spelt, message: describeUnknown(kinds, key) + where });
      continue;
    }
    const found = locate(SCHEMAS[kind], [key, ...rest]);
    if (found === undefined) {
      problems.push({ key: showPath([spelt, ...rest]), message: `${spelt} has no entries of its own${where}` });
      continue;
    }
    const assignment = { path: found.path, value: read(found.schema, entry), spelt, where };
    const twin = assignments.find((other) => other.path[0] === key && other.spelt !== spelt);
    // Of a command line the last one holds, as ever; a file has no order.
    if (twin !== undefined && where !== "" && showValue(twin.value) !== showValue(assignment.value)) {
      const [a, b] = [showValue(assignment.value), showValue(twin.value)];
      problems.push({ key: spelt, message: `${a}, but ${twin.spelt}, which is the same key, is ${b}${where}` });
    }
    assignments.push(...withStrategy(assignment));
  }
  return { assignments, ignored, problems };
}

/** `packing: wrapped` is `packing: true` and `packing_strategy: wrapped`. */
function withStrategy(assignment: Assignment): Assignment[] {
  const { path, value } = assignment;
  if (path[0] !== "packing" || typeof asFlag(value) !== "string") return [assignment];
  return [
    { ...assignment, value: true },
    { ...assignment, path: ["packing_strategy"] },
  ];
}

function describeUnknown(kinds: readonly RecipeKind[], key: string): string {
  const other = (["sft", "dpo"] as const).find((kind) => KEYS[kind].has(key));
  if (other !== undefined)
    return `a key of ${other} recipes, this is ${kinds[0] === "sft" ? "an sft" : "a dpo"} recipe`;
  return unknownKey([...kinds.flatMap((kind) => [...KEYS[kind]]), ...Object.keys(ALIASES), ...IGNORED.keys()], key);
}

/** The entry a path means. Names in a free mapping, such as dataset_mixer's files, may have dots themselves. */
export function locate(schema: z.ZodType, path: Path): { path: Path; schema: z.ZodType | undefined } | undefined {
  const [key, ...rest] = path;
  let entry = entryOf(schema, key);
  if (entry === undefined) return { path, schema: undefined };
  for (const [i, step] of rest.entries()) {
    const { type } = innermost(entry)._zod.def;
    if (type === "record")
      return { path: [key, ...rest.slice(0, i), rest.slice(i).join(".")], schema: entryOf(entry, step) };
    if (type !== "object" && type !== "array") return undefined;
    const next = entryOf(entry, step);
    if (next === undefined) return { path, schema: undefined }; // the check of the whole will name it
    entry = next;
  }
  return { path, schema: entry };
}

/** What a command line's text means. For a text entry that is the text, unless it is quoted, empty or null. */
export function fromText(schema: z.ZodType | undefined, text: string | undefined): unknown {
  if (text === undefined) return true;
  const isVerbatim = schema !== undefined && isText(schema) && !/^(?:|~|null|["'].*)$/s.test(text);
  return isVerbatim ? text : readYamlValue(text);
}

export interface Merged {
  readonly values: Record<string, unknown>;
  /** How and where each key was last given. */
  readonly origin: ReadonlyMap<string, { readonly spelt: string; readonly where: string }>;
}

/** Lays later layers over earlier ones. What an earlier layer says in another way, such as the data set, goes. */
export function merge(kind: RecipeKind, layers: readonly Layer[]): Merged {
  const values: Record<string, unknown> = {};
  const origin = new Map<string, { spelt: string; where: string }>();
  for (const layer of layers) {
    const own = layer.assignments.filter(({ path }) => KEYS[kind].has(path[0]));
    for (const key of own.flatMap(({ path }) => alternativesTo(path[0]))) delete values[key];
    for (const { path, value, spelt, where } of own) {
      put(values, path, value);
      origin.set(path[0], { spelt, where });
    }
  }
  return { values, origin };
}

function alternativesTo(key: string): string[] {
  const groups = ALTERNATIVES.filter((groups) => groups.some((group) => group.includes(key))).flat();
  return groups.filter((group) => !group.includes(key)).flat();
}

/** Sets the entry that a path means; mappings and lists on the way are copied. */
export function put(target: Record<string, unknown>, [key, ...rest]: Path, value: unknown): void {
  const [next, ...others] = rest;
  if (next === undefined) {
    target[key] = value;
    return;
  }
  const inner = target[key];
  const copy = Array.isArray(inner) ? [...inner] : typeof inner === "object" ? { ...inner } : {};
  put(copy as Record<string, unknown>, [next, ...others], value);
  target[key] = copy;
}
